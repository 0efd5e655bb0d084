/** `netloom inspect diff BEFORE AFTER` */
import type { CommandContext } from '@stricli/core';
import { readText } from '../../ffi/file.ts';
import { difference, differenceWords } from '../../inspect/difference.ts';
import { readSnapshot } from '../../inspect/snapshot.ts';
import { EXIT } from '../errors.ts';
import { printJson } from '../print.ts';

/** Prints the differences, and exits with 1 if there are any, as diff(1) does. */
export function diff(context: CommandContext, before: string, after: string, json: boolean): void {
  const read = (file: string) => readSnapshot(readText(file), file);
  const differences = difference(read(before), read(after));
  if (json) printJson(context, differences);
  else context.process.stdout.write(differences.map((each) => `${differenceWords(each)}\n`).join(''));
  if (differences.length > 0) process.exitCode = EXIT.failed;
}
