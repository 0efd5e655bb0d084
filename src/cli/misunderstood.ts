/**
 * Errors for command lines that are not understood, in the form of all others: what is wrong, and what was expected.
 */
import {
  AliasNotFoundError,
  ArgumentParseError,
  type ArgumentScannerError,
  FlagNotFoundError,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
} from '@stricli/core';
import { counted } from '../counted.ts';
import { messageOf } from '../error.ts';

/** @param corrections similar names */
export function noSuchCommand(input: string, corrections: readonly string[]): string {
  return `There is no command "${input}"${didYouMean(corrections.map((each) => `"${each.replaceAll('`', '')}"`))}`;
}

export function misunderstood(error: ArgumentScannerError): string {
  if (error instanceof FlagNotFoundError)
    return `There is no option --${error.input}${didYouMean(error.corrections.map((each) => `--${kebab(each)}`))}`;
  if (error instanceof AliasNotFoundError) return `There is no option -${error.input}`;
  if (error instanceof UnsatisfiedFlagError) return `--${error.externalFlagName} needs a value`;
  if (error instanceof UnsatisfiedPositionalError) return missing(error);
  if (error instanceof UnexpectedPositionalError)
    return `Unexpected argument "${error.input}", expected ${counted(error.expectedCount, 'argument')}`;
  if (error instanceof ArgumentParseError)
    return `Invalid ${nameOf(error.externalFlagNameOrPlaceholder)}: ${messageOf(error.exception)}`;
  return error.message;
}

/** One placeholder may stand for several: `SANDBOX CMD`. */
function missing({ placeholder, limit, message }: UnsatisfiedPositionalError): string {
  const names = placeholder.split(' ').slice(limit?.[1] ?? 0);
  return names.length === 0 ? message : `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} missing`;
}

/** Placeholders are in capitals, options are not. */
function nameOf(option: string): string {
  return option === option.toUpperCase() ? option : `--${option}`;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? '' : `, did you mean ${names.join(' or ')}?`;
}
