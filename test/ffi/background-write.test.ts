/** Writes that would block, carried out by other threads. */
import { closeSync, readSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { adapter } from '#ffi';
import { BackgroundWrite } from '../../src/ffi/background-write.ts';

const lib = adapter.load({ pipe2: { args: ['ptr', 'i32'], returns: 'i32' } });

/** The capacity of a pipe. man 7 pipe */
const CAPACITY = 64 << 10;
/** glibc has 20 threads where nobody asks for more. */
const COUNT = 30;

function fullPipe(): { readonly read: number; readonly write: number } {
  const bytes = new Uint8Array(8);
  if (lib.pipe2(bytes, 0) < 0) throw new Error('Cannot make a pipe');
  const [read = -1, write = -1] = new Int32Array(bytes.buffer);
  writeSync(write, new Uint8Array(CAPACITY));
  return { read, write };
}

async function isDone(write: BackgroundWrite | undefined): Promise<boolean> {
  for (let i = 0; i < 3_000 && write?.isDone !== true; i++) await delay(10);
  return write?.isDone === true;
}

test('as many as were allowed are under way at once: the last one is not kept waiting by those before it', async (t) => {
  BackgroundWrite.allow(COUNT);
  const pipes = Array.from({ length: COUNT }, fullPipe);
  const writes = pipes.map(({ write }) => BackgroundWrite.tryStart(write, Uint8Array.of(1)));
  const drain = (i: number) => readSync(pipes[i]?.read ?? -1, new Uint8Array(CAPACITY));
  drain(COUNT - 1);
  t.true(await isDone(writes.at(-1)), 'the last one');
  t.false(writes[0]?.isDone, 'the first one still waits');
  for (let i = 0; i < COUNT - 1; i++) drain(i);
  for (const write of writes) t.true(await isDone(write));
  for (const { read, write } of pipes) for (const fd of [read, write]) closeSync(fd);
});
