/**
 * Who reaches a published port, and which source address the container sees: the host, its localhost, other containers,
 * the container itself, and another machine.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { answer, ask, send, until } from '../../support/conversation.ts';
import { becomeHost, type Sandbox } from '../../support/host.ts';
import { Lab } from '../../support/lab.ts';
import { addressOf, publish, withdraw } from './publisher.ts';

becomeHost();

const HOST = '192.0.2.1';
const HOST6 = '2001:db8::1';

/** Another machine on the host's network. Its default route leads through the host. */
function machine(lab: Lab): Sandbox {
  const remote = lab.sandbox('machine');
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', remote.path);
  for (const [address, of] of [
    [`${HOST}/24`, []],
    [`${HOST6}/64`, ['nodad']],
  ] as const)
    ip('addr', 'add', address, 'dev', 'lan0', ...of);
  ip('link', 'set', 'lan0', 'up');
  remote.run('ip', 'addr', 'add', '192.0.2.9/24', 'dev', 'eth0');
  remote.run('ip', 'addr', 'add', '2001:db8::9/64', 'dev', 'eth0', 'nodad');
  remote.run('ip', 'link', 'set', 'eth0', 'up');
  remote.run('ip', 'link', 'set', 'lo', 'up');
  remote.run('ip', 'route', 'add', 'default', 'via', HOST);
  remote.run('ip', '-6', 'route', 'add', 'default', 'via', HOST6);
  return remote;
}

async function scene(t: ExecutionContext) {
  const lab = new Lab(t);
  const remote = machine(lab);
  const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
  return { lab, remote, blue, green };
}

const both = (mapping: { hostPort: number; containerPort: number; hostIP?: string }) =>
  ['tcp', 'udp'].map((protocol) => ({ ...mapping, protocol }));

test.serial(
  'TCP over IPv4 and IPv6: from everywhere, with the source kept where the answer finds its way',
  async (t) => {
    const { lab, remote, blue, green } = await scene(t);
    const result = publish(lab, blue, both({ hostPort: 8080, containerPort: 80 }));
    publish(lab, green, []);
    await answer(t, blue, 'blue', 80);
    t.is(addressOf(result), '10.1.0.2');
    // [from, to, the source that the container sees]
    const conversations: readonly (readonly [string, Sandbox | undefined, string, string])[] = [
      ['another machine', remote, HOST, '192.0.2.9'],
      ['another machine by IPv6', remote, HOST6, '2001:db8::9'],
      ['the host by its address', undefined, HOST, HOST],
      ['the host by its IPv6 address', undefined, HOST6, HOST6],
      ['the host by the gateway address', undefined, '10.1.0.1', '10.1.0.1'],
      ['the host by localhost', undefined, '127.0.0.1', '10.1.0.1'],
      ['the host by another address of localhost', undefined, '127.8.8.8', '10.1.0.1'],
      ['another container', green, HOST, '10.1.0.1'],
      ['another container by IPv6', green, HOST6, 'fd00:1::1'],
      ['another container by the gateway', green, '10.1.0.1', '10.1.0.1'],
      ['the container itself', blue, HOST, '10.1.0.1'],
      ['the container itself by IPv6', blue, HOST6, 'fd00:1::1'],
    ];
    for (const [who, from, to, source] of conversations) t.is(ask(from, to, 8080), `blue ${source}`, who);
    t.is(ask(remote, HOST, 8081), undefined);
    t.is(ask(undefined, '::1', 8080), undefined, 'IPv6 has no route_localnet');
    withdraw(lab, blue);
    for (const [who, from, to] of conversations) t.is(ask(from, to, 8080), undefined, `${who}, after DEL`);
  },
);

test.serial('a packet that the host only forwards is not taken, whatever its port', async (t) => {
  const { lab, remote, blue, green } = await scene(t);
  publish(lab, blue, both({ hostPort: 80, containerPort: 80 }));
  publish(lab, green, []);
  await Promise.all([answer(t, blue, 'blue', 80), answer(t, green, 'green', 80), answer(t, remote, 'machine', 80)]);
  t.is(ask(remote, HOST, 80), 'blue 192.0.2.9');
  t.is(ask(remote, '10.1.0.3', 80), 'green 192.0.2.9');
  t.is(ask(green, '192.0.2.9', 80), `machine ${HOST}`); // ipMasq
  t.is(ask(green, '2001:db8::9', 80), `machine ${HOST6}`);
});

test.serial('hostIP: only that address leads there, and others of the same port elsewhere', async (t) => {
  const { lab, remote, blue, green } = await scene(t);
  execFileSync('ip', ['addr', 'add', '192.0.2.2/24', 'dev', 'lan0']);
  publish(lab, blue, both({ hostPort: 80, containerPort: 80, hostIP: HOST }));
  publish(lab, green, [
    { hostPort: 80, containerPort: 80, hostIP: '192.0.2.2' },
    { hostPort: 80, containerPort: 80, hostIP: HOST6 },
    { hostPort: 90, containerPort: 80, hostIP: '127.0.0.1' },
    { hostPort: 91, containerPort: 80, hostIP: '::' },
  ]);
  await Promise.all([answer(t, blue, 'blue', 80), answer(t, green, 'green', 80)]);
  t.is(ask(remote, HOST, 80), 'blue 192.0.2.9');
  t.is(ask(remote, '192.0.2.2', 80), 'green 192.0.2.9');
  t.is(ask(remote, HOST6, 80), 'green 2001:db8::9');
  t.is(ask(undefined, '127.0.0.1', 80), undefined);
  t.is(ask(undefined, '127.0.0.1', 90), 'green 10.1.0.1');
  t.is(ask(remote, HOST, 90), undefined);
  t.is(ask(remote, HOST6, 91), 'green 2001:db8::9');
  t.is(ask(remote, HOST, 91), undefined);
  withdraw(lab, blue);
  t.is(ask(remote, '192.0.2.2', 80), 'green 192.0.2.9');
});

test.serial('UDP: a sender that keeps its source port gets to whoever has the port now', async (t) => {
  const { lab, remote, blue, green } = await scene(t);
  const before = await answer(t, undefined, 'host', 53);
  const v4 = send(t, remote, HOST, 53, 5353);
  const v6 = send(t, remote, HOST6, 53, 5353);
  const everybody = async (name: string) => {
    t.is(await until(v4, `${name} 192.0.2.9`), `${name} 192.0.2.9`);
    t.is(await until(v6, `${name} 2001:db8::9`), `${name} 2001:db8::9`);
  };
  await everybody('host');
  before.kill('SIGKILL'); // otherwise it may answer after its connection is forgotten, and so open one of its own
  for (const [name, sandbox] of [
    ['blue', blue],
    ['green', green],
    ['blue', blue],
  ] as const) {
    publish(lab, sandbox, both({ hostPort: 53, containerPort: 5300 }));
    const program = await answer(t, sandbox, name, 5300);
    await everybody(name);
    withdraw(lab, sandbox);
    program.kill('SIGKILL');
  }
  await answer(t, undefined, 'host', 53);
  await everybody('host');
});

const MANY = Array.from({ length: 1_000 }, (_, i) => ({
  hostPort: 20_000 + i,
  containerPort: 2_000 + i,
  protocol: 'udp',
}));

for (const [title, more] of [
  ['', []],
  [', which has a thousand more', MANY],
] as const)
  test.serial(`UDP: what the host has said from the port keeps nobody from the container${title}`, async (t) => {
    const { lab, remote, blue } = await scene(t);
    await answer(t, blue, 'blue', 53);
    execFileSync('conntrack', ['-F'], { stdio: 'pipe' }); // connections of other tests
    for (const [host, machine] of [
      [HOST, '192.0.2.9'],
      [HOST6, '2001:db8::9'],
    ] as const) {
      const ports = ['--sport', '53', '--dport', '5353'];
      execFileSync('conntrack', ['-I', '-p', 'udp', '-s', host, '-d', machine, ...ports, '-t', '600'], {
        stdio: 'pipe',
      });
    }
    publish(lab, blue, [...both({ hostPort: 53, containerPort: 53 }), ...more]);
    t.is(await until(send(t, remote, HOST, 53, 5353), 'blue 192.0.2.9'), 'blue 192.0.2.9');
    t.is(await until(send(t, remote, HOST6, 53, 5353), 'blue 2001:db8::9'), 'blue 2001:db8::9');
  });

test.serial(
  'masqAll: everybody has the address of the host; snat false: nobody, and localhost does not get there',
  async (t) => {
    const { lab, remote, blue } = await scene(t);
    await answer(t, blue, 'blue', 80);
    publish(lab, blue, both({ hostPort: 8080, containerPort: 80 }), { masqAll: true });
    t.is(ask(remote, HOST, 8080), 'blue 10.1.0.1');
    t.is(ask(undefined, '127.0.0.1', 8080), 'blue 10.1.0.1');
    withdraw(lab, blue);
    publish(lab, blue, both({ hostPort: 8080, containerPort: 80 }), { snat: false });
    t.is(ask(remote, HOST, 8080), 'blue 192.0.2.9');
    t.is(readFileSync('/proc/sys/net/ipv4/conf/cni0/route_localnet', 'utf8').trim(), '0');
  },
);

test.serial('route_localnet opens the localhost of the host to nobody else', async (t) => {
  const { lab, blue, green } = await scene(t);
  publish(lab, blue, both({ hostPort: 8080, containerPort: 80 }));
  publish(lab, green, []);
  await answer(t, undefined, 'host', 9000, '127.0.0.1');
  t.is(readFileSync('/proc/sys/net/ipv4/conf/cni0/route_localnet', 'utf8').trim(), '1');
  for (const key of ['all', 'cni0']) writeFileSync(`/proc/sys/net/ipv4/conf/${key}/rp_filter`, '0');
  // A container that sends packets for 127.0.0.1 to the gateway instead of to itself.
  green.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet');
  green.run('ip', 'route', 'add', '127.0.0.1', 'via', '10.1.0.1', 'src', '10.1.0.3');
  t.is(ask(undefined, '127.0.0.1', 9000), 'host 127.0.0.1');
  t.is(ask(green, '127.0.0.1', 9000, 5), undefined);
  execFileSync('nft', ['flush', 'chain', 'inet', 'netloom', 'portmap4-lo']);
  t.is(ask(green, '127.0.0.1', 9000), 'host 10.1.0.3', 'the chain is what keeps them out');
});

test.serial('conditions: a port for some connections only, whichever way they are written', async (t) => {
  const { lab, remote, blue, green } = await scene(t);
  await Promise.all([answer(t, blue, 'blue', 80), answer(t, green, 'green', 80), answer(t, undefined, 'host', 8080)]);
  const forms: readonly (readonly string[])[] = [
    ['!', '-s', '192.0.2.0/24'],
    ['-s', '10.1.0.0/16'],
    ['-i', 'cni0', '-d', '192.0.2.1'],
    ['ip', 'saddr', '!=', '192.0.2.0/24', 'iifname', 'cni0'],
  ];
  for (const conditionsV4 of forms) {
    const more = { conditionsV4, conditionsV6: ['!', '--source', '2001:db8::9'] };
    publish(lab, blue, [{ hostPort: 8080, containerPort: 80 }], more);
    publish(lab, green, [{ hostPort: 8081, containerPort: 80 }]);
    const what = conditionsV4.join(' ');
    t.is(ask(green, HOST, 8080), 'blue 10.1.0.1', what);
    t.is(ask(remote, HOST, 8080), 'host 192.0.2.9', what);
    t.is(ask(green, HOST6, 8080), 'blue fd00:1::1', what);
    t.is(ask(remote, HOST6, 8080), 'host 2001:db8::9', what);
    t.is(ask(remote, HOST, 8081), 'green 192.0.2.9', what);
    withdraw(lab, green);
    withdraw(lab, blue);
  }
  t.notRegex(lab.snapshot(), /portmap/);
});
