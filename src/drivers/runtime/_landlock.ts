import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { FileBounds } from '#contracts/runtime';
import { systemTool } from '#kernel/system-tools';

/**
 * Landlock (landlock(7)): a process gives up, for itself and all that it will start, every file but those named. The kernel
 * then refuses even root, and no right of this platform is needed for it. Node has no such call, and of what systems bring
 * along Perl alone can make any: it restricts itself and becomes the command. The numbers of these calls are the same on
 * every architecture that Node runs on.
 */
export interface Landlock {
  readonly perl: string;
}

export const landlockNeeds = 'Linux 5.19 with Landlock, perl and setpriv';

/** From the second version on files can be moved between folders; without that many programs fail. (Linux 5.19) */
const leastVersion = 2;

/** Null where the kernel has none, or there is nothing to ask it with. */
export async function findLandlock(): Promise<Landlock | null> {
  const perl = systemTool('perl');
  // It takes `no_new_privs`.
  if (perl === null || systemTool('setpriv') === null) return null;
  const asked = await promisify(execFile)(perl, ['-e', 'print syscall(444, 0, 0, 1)'], { timeout: 10_000 }).catch(
    () => null,
  );
  return asked !== null && Number(asked.stdout) >= leastVersion ? { perl } : null;
}

/**
 * What is hidden is a folder that no rule may have in it, since rules only ever allow: all beside the way to it is named
 * instead. Links are not, for what counts is where a file really is.
 */
const script = String.raw`use strict; use warnings;
my $hidden = shift;
my $count = shift; my @readable = splice @ARGV, 0, $count;
$count = shift; my @writable = splice @ARGV, 0, $count;
my $version = syscall(444, 0, 0, 1);
my $all = (1 << ($version >= 3 ? 15 : 14)) - 1;
my ($read, $list, $file) = (1 | 4 | 8, 8, 1 | 2 | 4 | 1 << 14);
# From the sixth version on it signals nothing but what it started.
my $wanted = $version >= 6 ? pack('QQQ', $all, 0, 2) : pack('Q', $all);
my $rules = syscall(444, $wanted, length $wanted, 0);
die "landlock: $!\n" if $rules < 0;
sub allow {
  my ($path, $access) = @_;
  sysopen(my $at, $path, 0x200000) or return 0;
  $access &= $file unless -d $at;
  my $rule = pack('Ql', $access & $all, fileno $at);
  return syscall(445, $rules, 1, $rule, 0) == 0;
}
allow('/', $list);
my $way = '';
for my $step (grep { length } split m{/}, $hidden) {
  if (opendir(my $folder, "$way/")) {
    for my $name (readdir $folder) {
      next if $name eq '.' or $name eq '..' or $name eq $step or -l "$way/$name";
      allow("$way/$name", $read);
    }
  }
  $way .= "/$step";
}
allow($_, $read) for @readable;
allow("/dev/$_", $all) for qw(null zero full random urandom tty ptmx pts dri kfd), map { s{^/dev/}{}r } glob('/dev/nvidia*');
for (@writable) { allow($_, $all) or die "landlock: $_: $!\n" }
syscall(446, $rules, 0) == 0 or die "landlock: $!\n";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";`;

/** The command before an instance's own that bounds its files. */
export const landlocked = ({ perl }: Landlock, { hidden, readable, writable }: FileBounds): readonly string[] => [
  ...[perl, '-e', script, '--', hidden],
  ...[String(readable.length), ...readable],
  ...[String(writable.length), ...writable],
];
