/** How an agent begins and ends: beside another one, and with a service manager's socket. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Fd } from '../../src/ffi/file.ts';
import { cString, libc } from '../../src/ffi/libc.ts';
import { AF_UNIX, unixAddress } from '../../src/ffi/unix-address.ts';
import { listenAt } from '../../src/ffi/unix-socket.ts';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, type ExecOptions, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { AgentProcess, agentOnly, socketOf } from './agent-process.ts';
import { ask, deskOf } from './ask.ts';

becomeHost();

/** LISTEN_PID is only known once the process exists, so a shell sets it. */
const AS_SYSTEMD = ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'];
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

function throughAgent(lab: Lab): ExecOptions {
  return { bin: agentOnly(lab), path: BIN };
}

/** Repeats ADD and DEL in each of several containers, one call after the other, until it is told to end. */
function traffic(lab: Lab, containers: number) {
  const options = throughAgent(lab);
  const sandboxes = Array.from({ length: containers }, (_, i) => lab.sandbox(`c${i}`));
  let isOver = false;
  let count = 0;
  const cycles = sandboxes.map(async (sandbox) => {
    const failures: string[] = [];
    while (!isOver) {
      for (const command of ['ADD', 'DEL']) {
        const { status, stdout, stderr } = await lab.start(command, bridgeConf(), { sandbox }, options);
        if (status !== 0) failures.push(`${command}: ${stdout}${stderr}`);
        count++;
      }
    }
    return failures;
  });
  return {
    /** Waits until this many more calls have ended. */
    async goOn(calls: number) {
      const goal = count + calls;
      await until(`${calls} more calls`, () => count >= goal);
    },
    /** @returns the failures */
    async end(): Promise<string[]> {
      isOver = true;
      return (await Promise.all(cycles)).flat();
    },
  };
}

/** A datagram socket like the one that a service manager reads. */
function listener(t: ExecutionContext, lab: Lab) {
  const path = join(lab.root, 'notify.sock');
  const fd = new Fd(libc.socket(AF_UNIX, SOCK_DGRAM, 0));
  t.teardown(() => fd.close());
  const address = unixAddress(cString(path));
  t.true(libc.bind(fd.number, address, address.length) >= 0);
  const heard: string[] = [];
  return {
    path,
    heard() {
      const buffer = new Uint8Array(256);
      for (;;) {
        const length = libc.recvfrom(fd.number, buffer, buffer.length, MSG_DONTWAIT, null, null);
        if (length < 0) return heard;
        heard.push(new TextDecoder().decode(buffer.subarray(0, length)));
      }
    },
  };
}

test.serial('while agents follow each other no call fails, and questions are always answered', async (t) => {
  const lab = new Lab(t);
  const place = '127.0.0.1:9464';
  let agent = await AgentProcess.start(t, lab, '--metrics', place);
  const calls = traffic(lab, 4);
  for (let i = 0; i < 3; i++) {
    const next = await AgentProcess.start(t, lab, '--metrics', place);
    t.is((await ask(place, '/healthz')).status, 200);
    t.is(await agent.ended(), 0);
    agent = next;
    await calls.goOn(8);
    t.is(JSON.parse((await ask(deskOf(lab), '/status')).text).pid, agent.pid);
    t.is((await ask(place, '/healthz')).status, 200);
  }
  t.deepEqual(await calls.end(), []);
  agent.signal('SIGTERM');
  t.is(await agent.ended(), 0);
  t.false(existsSync(deskOf(lab)), 'it takes its sockets along');
  t.false(existsSync(socketOf(lab)));
});

test.serial('with the socket of a service manager it can be restarted, and no call fails', async (t) => {
  const lab = new Lab(t);
  mkdirSync(join(lab.root, 'run/netloom'), { recursive: true, mode: 0o700 });
  using socket = listenAt(socketOf(lab), 128);
  const manager = listener(t, lab);
  const start = () =>
    AgentProcess.startWith(t, lab, {
      wrap: AS_SYSTEMD,
      passed: socket.number,
      environment: { NOTIFY_SOCKET: manager.path },
    });
  let agent = await start();
  await until('it says that it is ready', () => manager.heard().includes('READY=1'));
  const calls = traffic(lab, 4);
  for (let i = 0; i < 3; i++) {
    await calls.goOn(8);
    agent.signal('SIGTERM');
    t.is(await agent.ended(), 0);
    t.true(existsSync(socketOf(lab)), 'the socket is the manager’s');
    agent = await start();
  }
  await calls.goOn(8);
  t.deepEqual(await calls.end(), []);
  t.deepEqual(manager.heard().slice(0, 4), ['READY=1', 'STOPPING=1', 'READY=1', 'STOPPING=1']);
});

test.serial('a socket that is meant for another process is left alone', async (t) => {
  const lab = new Lab(t);
  const agent = await AgentProcess.startWith(t, lab, { environment: { LISTEN_PID: '1', LISTEN_FDS: '1' } });
  t.true(existsSync(socketOf(lab)));
  t.is(lab.exec('STATUS', bridgeConf(), {}, throughAgent(lab)).status, 0);
  agent.signal('SIGTERM');
  t.is(await agent.ended(), 0);
  t.false(existsSync(socketOf(lab)));
});
