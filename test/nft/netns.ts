/**
 * A network namespace of the test file's own: the thread moves into a new one, and so do the programs that it starts.
 * AVA gives each file a process.
 */
import { execFileSync } from 'node:child_process';
import { adapter } from '#ffi';
import { check } from '../../src/ffi/libc.ts';

const CLONE_NEWNET = 0x40000000;

export function enterNewNetns(): void {
  const lib = adapter.load({ unshare: { args: ['i32'], returns: 'i32' } });
  check(lib.unshare(CLONE_NEWNET), 'make a network namespace (it takes root)');
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
}

/** What nft prints. */
export function nft(...args: string[]): string {
  return execFileSync('nft', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs shell commands as a person would. Stops at the first that fails. */
export function shell(commands: readonly string[]): void {
  execFileSync('bash', ['-e'], { input: commands.join('\n'), stdio: ['pipe', 'pipe', 'pipe'] });
}

/** The ruleset in three views without handles: text, JSON, and the expressions in the kernel. */
export function ruleset(): { text: string; json: unknown; bytecode: string } {
  const json: unknown = JSON.parse(nft('-j', 'list', 'ruleset'), (key, value: unknown) =>
    key === 'handle' || key === 'metainfo' ? undefined : value,
  );
  return {
    text: nft('list', 'ruleset'),
    json,
    bytecode: nft('--debug=netlink', 'list', 'ruleset').replaceAll(/^inet \S+ \S+ \d+.*$/gm, ''),
  };
}
