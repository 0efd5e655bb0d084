/** The tree of commands, as paths of words. */
import type { Command, CommandContext, RouteMap } from '@stricli/core';
import { commands } from '../../src/cli/commands.ts';

type Target = Command<CommandContext> | RouteMap<CommandContext>;

export function commandPaths(target: Target = commands, prefix: readonly string[] = []): string[][] {
  if (!('getAllEntries' in target)) return [[...prefix]];
  return target.getAllEntries().flatMap((entry) => commandPaths(entry.target, [...prefix, entry.name.original]));
}
