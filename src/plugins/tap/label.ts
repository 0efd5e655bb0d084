/**
 * The SELinux context of a link: the kernel gives a TAP link the context of the thread that makes it. man 5 proc,
 * /proc/PID/attr.
 */
import { messageOf, NetloomError } from '../../error.ts';
import { tryReadText, writeText } from '../../ffi/file.ts';

const CURRENT = '/proc/thread-self/attr/current';

/**
 * Runs a function in a context, and then returns to the former one.
 * @throws NetloomError unsupported if the kernel or its policy does not allow that
 */
export function withLabel<T>(context: string | undefined, run: () => T): T {
  if (context === undefined || context === '') return run();
  const before = take(context);
  try {
    return run();
  } finally {
    if (before !== '') writeText(CURRENT, before);
  }
}

/** @returns the former context */
function take(context: string): string {
  try {
    const before = contextOf(tryReadText(CURRENT) ?? '');
    writeText(CURRENT, context);
    return before;
  } catch (cause) {
    throw new NetloomError('unsupported', `Cannot take the SELinux context "${context}": ${messageOf(cause)}`, {
      hint: 'SELinux is off, or its policy has no such context',
      cause,
    });
  }
}

/** The kernel ends it with a NUL or a newline. */
function contextOf(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) <= 0x20) end--;
  return text.slice(0, end);
}
