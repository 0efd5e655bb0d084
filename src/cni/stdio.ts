/** The input and output of an executed plugin: its own environment, stdin, stdout and stderr. */
import { readAll, writeAll } from '../ffi/file.ts';
import { patientRead, patientWrite } from '../ffi/poll.ts';
import type { Environment } from './environment.ts';
import { checkNetns } from './netns.ts';
import type { ServeIo } from './serve.ts';

export function stdio(environment: Environment): ServeIo {
  const encoder = new TextEncoder();
  return {
    environment,
    readStdin: () => new TextDecoder().decode(readAll(0, 'stdin', undefined, patientRead)),
    writeStdout: (text) => writeAll(1, encoder.encode(text), 'stdout', patientWrite),
    writeStderr: (text) => {
      try {
        writeAll(2, encoder.encode(text), 'stderr');
      } catch {
        // Nobody listens: no reason to fail a call, and nowhere to say so.
      }
    },
    checkNetns,
  };
}
