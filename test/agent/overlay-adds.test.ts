/**
 * ADDs of an overlay beside the agent thread that maintains it: they do not read again what that thread has read and
 * applied.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, ip } from '../support/host.ts';
import { BIN, Lab } from '../support/lab.ts';
import { AgentProcess, agentOnly } from './agent-process.ts';

becomeHost();

const PEERS = 600;

function put(store: string, number: number, address: string): void {
  const subnet = `10.${64 + (number >> 8)}.${number & 255}.0/24`;
  const file = join(store, `${subnet.replace('/', '_')}.json`);
  writeFileSync(`${file}.new`, JSON.stringify({ name: `node${number}`, address, subnet }));
  renameSync(`${file}.new`, file);
}

function addressOf(number: number): string {
  return `198.18.${1 + (number >> 8)}.${number & 255}`;
}

/** The destinations of the tunnel's frames. */
function destinations(): Set<string> {
  const entries = JSON.parse(execFileSync('bridge', ['-j', 'fdb', 'show'], { encoding: 'utf8' })) as { dst?: string }[];
  return new Set(entries.flatMap(({ dst }) => dst ?? []));
}

/** How many times a process has read from a file, with read(2) and its variants. */
function readsOf(pid: number): number {
  return Number(/^syscr: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

/** A network with all peers, its conflist and an agent. */
async function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const store = join(lab.root, 'store');
  mkdirSync(store);
  const [first, second] = ['n0', 'n1'];
  execFileSync('bash', [
    '-ec',
    `ip link add ${first} type veth peer name ${second}; ip link set ${first} up; ip link set ${second} up; ip addr add 198.18.0.1/16 dev ${first}`,
  ]);
  t.teardown(() => void execFileSync('ip', ['link', 'del', first]));
  for (let number = 1; number <= PEERS; number++) put(store, number, addressOf(number));
  const plugin = {
    type: 'overlay',
    subnet: '10.64.0.0/10',
    node: 'me',
    underlay: '198.18.0.0/16',
    store: { type: 'file', path: store },
  };
  const conf = { cniVersion: '1.0.0', name: 'net' };
  mkdirSync(join(lab.root, 'etc/cni/net.d'), { recursive: true });
  writeFileSync(join(lab.root, 'etc/cni/net.d/net.conflist'), JSON.stringify({ ...conf, plugins: [plugin] }));
  const agent = await AgentProcess.start(t, lab);
  const options = { bin: agentOnly(lab), path: BIN };
  const add = (name: string) => lab.add({ ...conf, ...plugin }, { sandbox: lab.sandbox(name) }, options);
  return { store, agent, add };
}

test.serial('with its end an ADD has everybody in the kernel, the first one and those after it', async (t) => {
  const { store, add } = await start(t);
  add('c1');
  t.is(destinations().size, PEERS);
  put(store, 7, '198.18.200.7');
  add('c2');
  const moved = destinations();
  t.true(moved.has('198.18.200.7') && !moved.has(addressOf(7)));
  put(store, PEERS + 1, '198.18.200.8');
  unlinkSync(join(store, '10.64.9.0_24.json'));
  add('c3');
  const later = destinations();
  t.true(later.has('198.18.200.8') && !later.has(addressOf(9)));
  const [tunnel] = ip<{ ifname: string }>('link', 'show', 'type', 'vxlan');
  execFileSync('ip', ['link', 'del', tunnel?.ifname ?? '']);
  add('c4');
  t.deepEqual(destinations(), later);
});

test.serial('an ADD reads none of the other nodes that the agent knows', async (t) => {
  const { agent, add } = await start(t);
  add('c1');
  for (const name of ['c2', 'c3', 'c4']) {
    const before = readsOf(agent.pid);
    add(name);
    const reads = readsOf(agent.pid) - before;
    t.true(reads < PEERS / 2, `${reads} reads among ${PEERS} nodes`);
  }
});
