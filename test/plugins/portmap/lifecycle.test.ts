/**
 * The life of published ports: a second container that asks for the same port, processes of the host, CHECK, DEL in
 * every situation, GC, STATUS, and many at once.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { answer } from '../../support/conversation.ts';
import { becomeHost, type Sandbox } from '../../support/host.ts';
import { type Json, Lab, WITHOUT_NETLINK } from '../../support/lab.ts';
import { bridge, map, portmapConf, publish, withdraw } from './publisher.ts';

becomeHost();

const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };
const dns = { hostPort: 53, containerPort: 53, protocol: 'udp' };

const routeLocalnet = (link: string) => readFileSync(`/proc/sys/net/ipv4/conf/${link}/route_localnet`, 'utf8').trim();

test.serial(
  'the second container that asks for a port is refused by the name of the first, and nothing changes',
  (t) => {
    const lab = new Lab(t);
    const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
    publish(lab, blue, [web]);
    const result = lab.add(bridge, { sandbox: green });
    const before = lab.snapshot();
    const { output, status } = map(lab, green, result, [dns, web]);
    t.is(status, 1);
    t.is(output.code, 114);
    t.is(output.msg, 'Cannot publish the port tcp 0.0.0.0:8080: "net/blue/eth0" has it (network/container/interface)');
    t.is(lab.snapshot(), before);
    withdraw(lab, blue);
    t.is(map(lab, green, result, [dns, web]).status, 0);
  },
);

test.serial('a network whose subnet overlaps takes no port away from a container that lives', (t) => {
  const lab = new Lab(t);
  const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
  const result = publish(lab, blue, [web]);
  const before = lab.snapshot();
  const other = { name: 'overlapping' };
  const { output } = map(lab, green, result, [dns], other);
  t.is(output.code, 111);
  t.is(
    output.msg,
    'Cannot publish ports of 10.1.0.2 for "overlapping/green/eth0": EEXIST, "net/blue/eth0" has the address',
  );
  t.is(lab.snapshot(), before);
  lab.del(portmapConf([dns], other), { sandbox: green });
  t.is(lab.snapshot(), before);
});

test.serial('a port that a process on the host listens on is published, with a warning', async (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  await answer(t, undefined, 'host', 8080, '127.0.0.1');
  await answer(t, undefined, 'host', 8081);
  const result = lab.add(bridge, { sandbox });
  const udp = { hostPort: 8081, containerPort: 1, protocol: 'udp' };
  const other = { hostPort: 8082, containerPort: 1, hostIP: '127.0.0.1' };
  const end = map(lab, sandbox, result, [web, udp, other]);
  t.is(end.status, 0);
  t.deepEqual(end.stderr.trim().split('\n'), [
    'portmap: a process on the host listens on tcp 127.0.0.1:8080: what comes for it goes to the container "10.1.0.2" now',
    'portmap: a process on the host listens on udp [::]:8081: what comes for it goes to the container "10.1.0.2" now',
  ]);
  t.deepEqual(end.output, result);
  const log = `${lab.root}/log`;
  t.is(map(lab, sandbox, result, [{ ...web, hostIP: '127.0.0.1' }], { logFile: log }).stderr, '');
  t.regex(readFileSync(log, 'utf8'), /portmap: a process on the host listens on tcp 127.0.0.1:8080/);
  t.is(map(lab, sandbox, result, [{ ...web, hostIP: '10.1.0.1' }]).stderr, '', 'it listens on another address');
});

test.serial('ADD and DEL leave the host as it was, route_localnet included', (t) => {
  const lab = new Lab(t);
  const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
  lab.add(bridge, { sandbox: lab.sandbox('neighbour') });
  const before = lab.snapshot();
  t.is(routeLocalnet('cni0'), '0');
  publish(lab, blue, [web, dns]);
  t.is(routeLocalnet('cni0'), '1');
  publish(lab, green, [{ ...web, hostPort: 8081, hostIP: '127.0.0.1' }]);
  withdraw(lab, blue);
  t.is(routeLocalnet('cni0'), '1');
  withdraw(lab, green);
  t.is(routeLocalnet('cni0'), '0');
  t.is(lab.snapshot(), before);
  // It stays off for a port that does not need it.
  publish(lab, blue, [{ ...web, hostIP: '10.1.0.1' }]);
  t.is(routeLocalnet('cni0'), '0');
  withdraw(lab, blue);
  // If others switched it on, it stays on.
  writeFileSync('/proc/sys/net/ipv4/conf/cni0/route_localnet', '1');
  publish(lab, blue, [web]);
  withdraw(lab, blue);
  t.is(routeLocalnet('cni0'), '1');
  t.is(lab.snapshot(), before);
});

test.serial('DEL needs neither namespace nor prevResult nor mappings, takes only its own, and succeeds again', (t) => {
  const lab = new Lab(t);
  const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
  publish(lab, green, [{ ...web, hostPort: 9090 }]);
  const before = lab.snapshot();
  const result = publish(lab, blue, [web, dns, { ...web, hostPort: 9090, protocol: 'udp' }]);
  const target = { containerId: 'blue', netns: '' };
  const others: readonly Json[] = [
    portmapConf(undefined),
    portmapConf([web, dns], { prevResult: result }),
    portmapConf([{ ...web, hostPort: 9090 }]), // this port is another container's
    portmapConf([{ ...web, hostPort: 70000 }]),
  ];
  for (const conf of others) {
    lab.del(conf, target);
    lab.del(conf, target);
    t.notRegex(lab.snapshot(), /blue\/eth0" : 10\.1\.0\.3 \. /);
    t.regex(lab.snapshot(), /tcp \. 9090 comment "net\/green\/eth0"/);
    t.is(map(lab, blue, result, [web, dns]).status, 0);
  }
  withdraw(lab, blue);
  t.is(lab.snapshot(), before);
  execFileSync('nft', ['flush', 'ruleset']);
  withdraw(lab, green);
});

const changes: readonly (readonly [string, () => void, RegExp])[] = [
  [
    'an element gone',
    () => execFileSync('nft', ['delete', 'element', 'inet', 'netloom', 'portmap4', '{ tcp . 8080 }']),
    /the tcp port 8080 does not lead to 10\.1\.0\.2 port 80$/,
  ],
  [
    'a port of one address gone',
    () => execFileSync('nft', ['delete', 'element', 'inet', 'netloom', 'portmap4-at', '{ 10.1.0.1 . udp . 53 }']),
    /the udp port 53 of 10\.1\.0\.1 does not lead to 10\.1\.0\.2 port 53$/,
  ],
  [
    'the guard gone',
    () => execFileSync('nft', ['flush', 'set', 'inet', 'netloom', 'published6']),
    /the tcp port 8080 does not lead to fd00:1::2 port 80$/,
  ],
  [
    'the table gone',
    () => execFileSync('nft', ['delete', 'table', 'inet', 'netloom']),
    /the tcp port 8080 does not lead to 10\.1\.0\.2 port 80; the udp port 53 of 10\.1\.0\.1 .*; the tcp port 8080 does not lead to fd00:1::2/,
  ],
  [
    'route_localnet off',
    () => writeFileSync('/proc/sys/net/ipv4/conf/cni0/route_localnet', '0'),
    /"route_localnet" of "cni0" is off$/,
  ],
];
for (const [title, change, says] of changes) {
  test.serial(`CHECK finds ${title}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const conf = portmapConf([web, { ...dns, hostIP: '10.1.0.1' }]);
    const prevResult = publish(lab, sandbox, [web, { ...dns, hostIP: '10.1.0.1' }]);
    lab.check(conf, { sandbox }, prevResult);
    change();
    const { output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
  });
}

test.serial('CHECK finds a mapping that was never made, and one of another holder', (t) => {
  const lab = new Lab(t);
  const [blue, green] = [lab.sandbox('blue'), lab.sandbox('green')];
  publish(lab, blue, [web]);
  const prevResult = lab.add(bridge, { sandbox: green });
  const { output } = lab.exec('CHECK', { ...portmapConf([web]), prevResult }, { sandbox: green });
  t.regex(output.msg ?? '', /the tcp port 8080 does not lead to 10\.1\.0\.3 port 80/);
});

test.serial('GC withdraws what no valid attachment has, of its own network', (t) => {
  const lab = new Lab(t);
  const [blue, green, other] = [lab.sandbox('blue'), lab.sandbox('green'), lab.sandbox('other')];
  const neighbour = { ...bridge, name: 'second', bridge: 'cni1', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
  const result = lab.add(neighbour, { sandbox: other });
  const inOther = { ...portmapConf([{ ...web, hostPort: 7000 }]), name: 'second', prevResult: result };
  lab.add(inOther, { sandbox: other });
  publish(lab, green, [dns]);
  const before = lab.snapshot();
  publish(lab, blue, [web]);
  lab.gc(portmapConf(undefined), [{ containerID: 'green', ifname: 'eth0' }]);
  lab.del(bridge, { sandbox: blue });
  t.is(lab.snapshot(), before);
  lab.gc(portmapConf(undefined), []);
  t.notRegex(lab.snapshot(), /green\/eth0" : 10\.1\.0\.\d+ \. /);
  t.regex(lab.snapshot(), /tcp \. 7000 comment "second\/other\/eth0"/);
  lab.del(inOther, { sandbox: other });
  t.notRegex(lab.snapshot(), /portmap/);
});

test.serial('STATUS: fine here, and a word where a key is wrong', (t) => {
  const lab = new Lab(t);
  t.is(lab.exec('STATUS', portmapConf(undefined)).status, 0);
  t.is(lab.exec('STATUS', portmapConf(undefined, { snat: 1 })).output.code, 7);
  t.is(lab.exec('STATUS', portmapConf(undefined), {}, { wrap: WITHOUT_NETLINK }).output.code, 50);
});

/** Attached containers, each with a function that gives its portmap configuration. */
function attachments(lab: Lab, count: number): { readonly sandbox: Sandbox; readonly conf: (mapping: Json) => Json }[] {
  return Array.from({ length: count }, (_, i) => {
    const sandbox = lab.sandbox(`c${i}`);
    const prevResult = lab.add(bridge, { sandbox });
    return { sandbox, conf: (mapping) => ({ ...portmapConf([mapping]), prevResult }) };
  });
}

test.serial('40 processes at once with ports of their own: each gets them, and all of it goes again', async (t) => {
  t.timeout(240_000);
  const lab = new Lab(t);
  const targets = attachments(lab, 40);
  const before = lab.snapshot();
  const each = (command: string) =>
    Promise.all(
      targets.map(({ sandbox, conf }, i) => lab.start(command, conf({ ...web, hostPort: 9000 + i }), { sandbox })),
    );
  t.deepEqual((await each('ADD')).map(({ status, stdout }) => (status === 0 ? '' : stdout)).filter(Boolean), []);
  const elements = (name: string) =>
    execFileSync('nft', ['list', 'map', 'inet', 'netloom', name], { encoding: 'utf8' });
  for (const name of ['portmap4', 'portmap6']) t.is(elements(name).match(/comment "net\/c\d+\/eth0"/g)?.length, 40);
  t.is(routeLocalnet('cni0'), '1');
  t.deepEqual((await each('CHECK')).map(({ stdout }) => stdout).filter(Boolean), []);
  t.deepEqual((await each('DEL')).map(({ stdout }) => stdout).filter(Boolean), []);
  t.is(routeLocalnet('cni0'), '0');
  t.is(lab.snapshot(), before);
});

test.serial('10 processes at once for the same port: exactly one gets it, and the others say who', async (t) => {
  t.timeout(240_000);
  const lab = new Lab(t);
  const targets = attachments(lab, 10);
  const before = lab.snapshot();
  const ends = await Promise.all(targets.map(({ sandbox, conf }) => lab.start('ADD', conf(web), { sandbox })));
  const winners = ends.flatMap(({ status }, i) => (status === 0 ? [i] : []));
  t.is(winners.length, 1);
  const name = `net/c${winners[0]}/eth0`;
  for (const { output } of ends.filter(({ status }) => status !== 0)) {
    t.is(output.code, 114);
    t.is(output.msg, `Cannot publish the port tcp 0.0.0.0:8080: "${name}" has it (network/container/interface)`);
  }
  await Promise.all(targets.map(({ sandbox, conf }) => lab.start('DEL', conf(web), { sandbox })));
  t.is(lab.snapshot(), before);
});

test.serial('processes that come and go at once: each container ends as its last call says', async (t) => {
  t.timeout(240_000);
  const lab = new Lab(t);
  const targets = attachments(lab, 12);
  const before = lab.snapshot();
  await Promise.all(
    targets.map(async ({ sandbox, conf }, i) => {
      // Each port is shared by two containers, on different host addresses.
      const mapping = { ...web, hostPort: 9000 + (i >> 1), hostIP: i % 2 === 0 ? '127.0.0.1' : '10.1.0.1' };
      for (let round = 0; round < 3; round++) {
        for (const command of ['ADD', 'CHECK', 'DEL']) {
          const { status, stdout } = await lab.start(command, conf(mapping), { sandbox });
          if (status !== 0) throw new Error(`${command} of c${i}: ${stdout}`);
        }
      }
    }),
  );
  t.is(routeLocalnet('cni0'), '0');
  t.is(lab.snapshot(), before);
});
