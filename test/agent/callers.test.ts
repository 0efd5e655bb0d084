/**
 * Bad callers: whatever they send, leave out or delay, the agent serves the others, and counts no unfinished call as
 * done.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { lock, O, open } from '../../src/ffi/file.ts';
import type { Connection } from '../../src/ffi/unix-socket.ts';
import { becomeHost, ip } from '../support/host.ts';
import { BIN, bridgeConf, type ExecOptions, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { AgentProcess, agentOnly, socketOf } from './agent-process.ts';
import { ask, deskOf } from './ask.ts';
import { callAt, sendWith } from './caller.ts';

becomeHost();

const DECLINED = 108;
/** The build id by which shim and agent know each other: scripts/build.mjs. */
const BUILD = readFileSync(fileURLToPath(new URL('../../dist/.built-from', import.meta.url)), 'utf8').slice(0, 16);

function throughAgent(lab: Lab): ExecOptions {
  return { bin: agentOnly(lab), path: BIN };
}

function veths(): string[] {
  return ip<{ ifname: string }>('link')
    .map(({ ifname }) => ifname)
    .filter((name) => name.startsWith('veth'));
}

/** A request as the shim sends it. */
function request(...strings: readonly string[]): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(strings.map((each) => `${each}\0`).join(''));
  const bytes = new Uint8Array(new ArrayBuffer(8 + text.length));
  new DataView(bytes.buffer).setUint32(0, 0x316d6c6e, true);
  bytes.set(text, 8);
  return bytes;
}

const STATUS = request(BUILD, 'bridge', 'CNI_COMMAND=STATUS', '');

/** Bad requests. The agent answers with nothing, or declines. */
const ODD: readonly [title: string, message: Uint8Array<ArrayBuffer>, files: number, answer: RegExp | undefined][] = [
  ['nothing but files', new Uint8Array(1), 2, undefined],
  ['another magic', new Uint8Array(STATUS).fill(0, 0, 4), 2, undefined],
  ['no end of the environment', request(BUILD, 'bridge', 'CNI_COMMAND=STATUS'), 2, undefined],
  ['no string at all', request(), 2, undefined],
  ['no type', request(BUILD, ''), 2, undefined],
  ['no files', STATUS, 0, undefined],
  ['one file', STATUS, 1, undefined],
  ['more files than it takes', STATUS, 40, undefined],
  ['more bytes than it takes', request(BUILD, 'bridge', '', 'x'.repeat(150_000)), 2, undefined],
  ['a plugin that is none', request(BUILD, 'constructor', ''), 2, /^Dthere is no such plugin here$/],
  ['files that are no namespace', STATUS, 2, /^Dthe caller is in another network namespace$/],
];

test.serial('what is no request gets no call, and leaves no file with the agent', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  const agent = await AgentProcess.start(t, lab);
  t.is(lab.exec('STATUS', bridgeConf(), {}, options).status, 0);
  const before = agent.openFiles;
  using file = open('/dev/null', O.RDONLY);
  for (let round = 0; round < 10; round++) {
    for (const [title, message, files, answer] of ODD) {
      using caller = callAt(socketOf(lab));
      sendWith(caller, message, Array(files).fill(file.number));
      const said = heard(caller);
      if (answer === undefined) t.is(said, undefined, title);
      else t.regex(said ?? '', answer, title);
    }
  }
  t.is(lab.exec('STATUS', bridgeConf(), {}, options).status, 0);
  t.true(agent.openFiles < before + 16, `${before} files, then ${agent.openFiles}`);
});

/** The agent's first message, or undefined if it hangs up without one. */
function heard(caller: Connection): string | undefined {
  using received = caller.receive(new Uint8Array(new ArrayBuffer(1024)));
  return received && new TextDecoder().decode(received.bytes);
}

test.serial('callers that connect and say nothing keep nobody from being served, and are let go', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  await AgentProcess.start(t, lab);
  const silent = Array.from({ length: 12 }, () => callAt(socketOf(lab)));
  const target = { sandbox: lab.sandbox('c1') };
  lab.add(bridgeConf(), target, options);
  lab.del(bridgeConf(), target, options);
  for (const each of silent) {
    t.is(heard(each), undefined);
    each[Symbol.dispose]();
  }
});

test.serial('a shim of another build is declined', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  await AgentProcess.start(t, lab);
  const shim = join(options.bin ?? '', 'netloom-shim');
  const bytes = readFileSync(shim);
  const at = bytes.indexOf(BUILD);
  t.true(at > 0);
  bytes.write(BUILD.replaceAll(/./g, '0'), at);
  writeFileSync(shim, bytes);
  t.is(lab.exec('STATUS', bridgeConf(), {}, options).output.code, DECLINED);
});

/** A full pipe: a writer waits until it is read. */
function fullPipe(lab: Lab) {
  const path = join(lab.root, 'full');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  try {
    for (;;) writeSync(reader, ' '.repeat(4096));
  } catch {
    // The pipe is full.
  }
  const buffer = Buffer.alloc(1 << 20);
  return { writer, read: () => buffer.toString('utf8', 0, readSync(reader, buffer)), reader };
}

test.serial(
  'an ADD whose result nobody reads is undone, and the shim does not call it a success afterwards',
  async (t) => {
    const lab = new Lab(t);
    const options = throughAgent(lab);
    const agent = await AgentProcess.start(t, lab);
    const sandbox = lab.sandbox('c1');
    const pipe = fullPipe(lab);
    const child = spawn(`${options.bin}/bridge`, [], {
      env: lab.environment('ADD', { sandbox }, options),
      stdio: ['pipe', pipe.writer, 'ignore'],
    });
    let status: number | null | undefined;
    child.on('close', (code) => (status = code));
    child.stdin?.end(JSON.stringify(bridgeConf()));
    await until('the call is over for the agent', () => agent.stderr.includes('"call failed"'));
    t.regex(agent.stderr, /"container":"c1".*"error":"Cannot write stdout: nobody has read it for \d+ s"/);
    t.deepEqual(veths(), []);
    t.is(status, undefined, 'it waits');
    pipe.read();
    await until('the shim has ended', () => status !== undefined);
    t.is(status, 1);
    for (const fd of [pipe.reader, pipe.writer]) closeSync(fd);
  },
);

test.serial(
  'where none of its calls ends and nobody takes the next one, the agent says that it is not well',
  async (t) => {
    const lab = new Lab(t);
    const options = throughAgent(lab);
    await AgentProcess.start(t, lab);
    const sandboxes = Array.from({ length: 36 }, (_, i) => lab.sandbox(`c${i}`));
    const [first] = sandboxes;
    lab.add(bridgeConf(), { ...(first && { sandbox: first }) }, options);
    lab.del(bridgeConf(), { ...(first && { sandbox: first }) }, options);
    const isWell = async () => (await ask(deskOf(lab), '/healthz')).status === 200;
    let calls: ReturnType<Lab['start']>[];
    {
      // Hold the lock of the network's leases.
      using held = open(join(lab.root, 'var/lib/cni/networks/net/lock'), O.RDWR);
      lock(held.number, 'lock');
      calls = sandboxes.map((sandbox) => lab.start('ADD', bridgeConf(), { sandbox }, options));
      await until('it is not well', async () => !(await isWell()));
      t.regex((await ask(deskOf(lab), '/healthz')).text, /^no thread takes calls/);
    }
    const ends = await Promise.all(calls);
    t.true(ends.every(({ status, output }) => status === 0 || output.code === DECLINED));
    await until('it is well again', isWell);
  },
);
