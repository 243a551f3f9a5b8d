import { delimiter, dirname } from 'node:path';

/**
 * What of the platform's environment reaches the tools that install packages, and with it the install scripts that a
 * definition allows: what they need to find programs, the network and the user's registries. Nothing else: the
 * platform's own secrets stay here.
 */
const names = new Set(
  [
    ...['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME'],
    ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
    ...[
      'SSL_CERT_FILE',
      'SSL_CERT_DIR',
      'REQUESTS_CA_BUNDLE',
      'CURL_CA_BUNDLE',
      'NODE_EXTRA_CA_CERTS',
      'GIT_SSL_CAINFO',
    ],
    // Names that people's .npmrc and .netrc refer to.
    ...['NPM_TOKEN', 'NODE_AUTH_TOKEN', 'NETRC'],
  ].map((name) => name.toLowerCase()),
);
const prefixes = ['lc_', 'npm_config_', 'pip_', 'uv_', 'pyenv_'];

/** They would send packages elsewhere, or choose another interpreter, or were set by `npm run` about itself. */
const refused = new Set([
  ...['pip_target', 'pip_prefix', 'pip_root', 'pip_user', 'pip_require_virtualenv', 'pip_python'],
  ...['uv_python', 'uv_system_python', 'uv_target', 'uv_prefix', 'uv_project_environment', 'uv_working_directory'],
  ...['npm_config_user_agent', 'npm_config_local_prefix', 'npm_config_global_prefix', 'npm_config_prefix'],
  ...['npm_config_npm_version', 'npm_config_node_gyp', 'npm_config_init_module', 'npm_config_globalconfig'],
  ...['npm_config_global', 'npm_config_dir', 'npm_config_store_dir', 'npm_config_cache', 'npm_config_omit'],
  ...['npm_config_json', 'npm_config_silent', 'npm_config_loglevel', 'npm_config_dry_run', 'pyenv_version'],
]);

export function toolEnvironment(from: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(from)) {
    const key = name.toLowerCase();
    const wanted = names.has(key) || prefixes.some((prefix) => key.startsWith(prefix));
    if (value !== undefined && wanted && !refused.has(key)) env[name] = value;
  }
  // First, because the machine's own Node may be too old for what is installed.
  env['PATH'] = [dirname(process.execPath), env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin'].join(delimiter);
  return env;
}
