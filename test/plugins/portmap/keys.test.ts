/**
 * The keys of portmap: which values are refused, with a message that names key and value, before anything is changed;
 * and which are accepted.
 */
import test from 'ava';
import { becomeHost } from '../../support/host.ts';
import { type Json, Lab } from '../../support/lab.ts';
import { bridge, map, portmapConf, publish } from './publisher.ts';

becomeHost();

const good = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };
const at = 'failed to load netconf: "runtimeConfig.portMappings';

const badMappings: readonly (readonly [unknown, string])[] = [
  [{ ...good, hostPort: 0 }, `${at}[0].hostPort" is 0, expected a whole number from 1 to 65535`],
  [{ ...good, hostPort: 65536 }, `${at}[0].hostPort" is 65536, expected a whole number from 1 to 65535`],
  [{ ...good, hostPort: -1 }, `${at}[0].hostPort" is -1, expected a whole number from 1 to 65535`],
  [{ ...good, hostPort: 80.5 }, `${at}[0].hostPort" is 80.5, expected a whole number from 1 to 65535`],
  [{ ...good, hostPort: '80' }, `${at}[0].hostPort" is "80", expected a whole number from 1 to 65535`],
  [{ ...good, containerPort: 0 }, `${at}[0].containerPort" is 0, expected a whole number from 1 to 65535`],
  [{ ...good, containerPort: 65536 }, `${at}[0].containerPort" is 65536, expected a whole number from 1 to 65535`],
  [{ hostPort: 80 }, `${at}[0].containerPort" is missing`],
  [{ containerPort: 80 }, `${at}[0].hostPort" is missing`],
  [{ ...good, protocol: 'icmp' }, `${at}[0].protocol" is "icmp", expected "tcp", "udp" or "sctp"`],
  [{ ...good, protocol: 6 }, `${at}[0].protocol" is 6, expected "tcp", "udp" or "sctp"`],
  [{ ...good, hostIP: 'localhost' }, `${at}[0].hostIP" is "localhost", expected an IP address such as "10.1.0.1"`],
  [{ ...good, hostIP: '10.1.0.1/24' }, `${at}[0].hostIP" is "10.1.0.1/24", expected an IP address such as "10.1.0.1"`],
  [
    { ...good, hostIP: 'fe80::1%eth0' },
    `${at}[0].hostIP" is "fe80::1%eth0", expected an IP address such as "10.1.0.1"`,
  ],
  [{ ...good, hostIP: 7 }, `${at}[0].hostIP" is 7, expected an IP address such as "10.1.0.1"`],
  ['80:80', `${at}[0]" is "80:80", expected an object`],
];

for (const [mapping, message] of badMappings) {
  test.serial(`refused: ${JSON.stringify(mapping)}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(bridge, { sandbox });
    const before = lab.snapshot();
    const { status, output } = map(lab, sandbox, result, [mapping]);
    t.is(status, 1);
    t.is(output.code, 7);
    t.is(output.msg, message);
    t.is(lab.snapshot(), before);
    // The runtime calls DEL with the same configuration as ADD.
    lab.del({ ...portmapConf([mapping]), prevResult: result }, { sandbox });
  });
}

const badSets: readonly (readonly [string, readonly unknown[], string])[] = [
  [
    'a mapping twice',
    [good, good],
    `${at}[1].hostPort" is 8080, and so is that of [0]: the tcp port can lead to one place only`,
  ],
  [
    'a port of every address and of one',
    [
      { ...good, hostIP: '0.0.0.0' },
      { ...good, containerPort: 81, hostIP: '127.0.0.1' },
    ],
    `${at}[1].hostPort" is 8080, and so is that of [0]: the tcp port of 127.0.0.1 can lead to one place only`,
  ],
  ['no list', { hostPort: 80 } as unknown as unknown[], `${at}" is {"hostPort":80}, expected a list`],
];
for (const [title, mappings, message] of badSets) {
  test.serial(`refused: ${title}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(bridge, { sandbox });
    t.is(map(lab, sandbox, result, mappings).output.msg, message);
    t.notRegex(lab.snapshot(), /portmap/);
  });
}

test.serial(
  'a hostIP of a family that the container has no address of is passed over with a warning, as in the reference',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] };
    const result = lab.add({ ...bridge, ipam }, { sandbox });
    const mappings = [
      { ...good, hostIP: '0.0.0.0' },
      { ...good, hostIP: '::' },
    ];
    const { status, stderr, output } = map(lab, sandbox, result, mappings);
    t.is(status, 0);
    t.is(
      stderr,
      `portmap: the port ${good.hostPort} leads nowhere: the container has no address of the family of "runtimeConfig.portMappings[1].hostIP", "::"\n`,
    );
    t.regex(lab.snapshot(), new RegExp(`tcp \\. ${good.hostPort} comment`));
    lab.check({ ...portmapConf(mappings) }, { sandbox }, output);
    const without = map(lab, lab.sandbox('c2'), { cniVersion: '1.1.0' }, [{ ...good, hostPort: 81 }]);
    t.is(without.status, 0);
    t.is(without.stderr, 'portmap: the port 81 leads nowhere: the container has no address\n');
  },
);

const badKeys: readonly (readonly [Json, string])[] = [
  [{ snat: 'yes' }, '"snat" is "yes", expected true or false'],
  [{ masqAll: 1 }, '"masqAll" is 1, expected true or false'],
  [{ markMasqBit: 32 }, '"markMasqBit" is 32, expected a whole number from 0 to 31'],
  [{ markMasqBit: -1 }, '"markMasqBit" is -1, expected a whole number from 0 to 31'],
  [{ externalSetMarkChain: true }, '"externalSetMarkChain" is true, expected a string'],
  [{ backend: 7 }, '"backend" is 7, expected a string'],
  [{ conditionsV4: '-s 10.0.0.0/8' }, '"conditionsV4" is "-s 10.0.0.0/8", expected a list'],
  [{ conditionsV6: [1] }, '"conditionsV6[0]" is 1, expected a string'],
  [{ markMasqBit: 1, externalSetMarkChain: 'X' }, 'Cannot specify externalSetMarkChain and markMasqBit'],
];
for (const [keys, message] of badKeys) {
  test.serial(`refused: ${JSON.stringify(keys)}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(bridge, { sandbox });
    const { output } = map(lab, sandbox, result, [good], keys);
    t.is(output.code, 7);
    t.is(output.msg, `failed to load netconf: ${message}`);
    t.notRegex(lab.snapshot(), /portmap/);
  });
}

test.serial('refused: without the result of a plugin before it', (t) => {
  const lab = new Lab(t);
  const { output } = lab.exec('ADD', portmapConf([good]), { sandbox: lab.sandbox('c1') });
  t.is(output.msg, 'failed to load netconf: "prevResult" is missing');
});

test.serial('without mappings nothing is made, and the result is that of the plugin before', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const result = lab.add(bridge, { sandbox });
  const before = lab.snapshot();
  for (const mappings of [undefined, null, []]) {
    const end = map(lab, sandbox, result, mappings as unknown as undefined);
    t.is(end.status, 0);
    t.deepEqual(end.output, result);
    t.is(end.stderr, '');
  }
  t.is(lab.snapshot(), before);
});

test.serial('keys of iptables are taken for what they mean; keys and protocols match without regard to case', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const mapping = { HostPort: 8080, CONTAINERPORT: 80, Protocol: 'TCP', hostIp: '' };
  for (const more of [
    { backend: 'iptables', markMasqBit: 5 },
    { backend: 'other', externalSetMarkChain: 'KUBE-MARK-MASQ' },
  ]) {
    const result = publish(lab, sandbox, [mapping as unknown as typeof good], more);
    t.is(result.ips?.length, 2);
    t.regex(lab.snapshot(), /tcp \. 8080 comment "net\/c1\/eth0" : 10\.1\.0\.\d+ \. 80/);
    lab.del(portmapConf(undefined), { sandbox });
    lab.del(bridge, { sandbox });
  }
});

const badConditions: readonly (readonly [Json, string])[] = [
  [{ conditionsV4: ['-m', 'mark'] }, '"conditionsV4[0]" begins with "-m mark"'],
  [{ conditionsV4: ['-s', '10.0.0.0/8', '!', '-d', 'fd00::/8'] }, '"conditionsV4[2]" begins with "! -d fd00::/8"'],
  [{ conditionsV4: ['-s', '10.0.0.0/33'] }, '"conditionsV4[0]" begins with "-s 10.0.0.0/33"'],
  [{ conditionsV4: ['-s'] }, '"conditionsV4[0]" begins with "-s"'],
  [{ conditionsV6: ['ip', 'saddr', 'fd00::/8'] }, '"conditionsV6[0]" begins with "ip saddr fd00::/8"'],
  [{ conditionsV6: ['-i', 'a/b'] }, '"conditionsV6[0]" begins with "-i a/b"'],
];
for (const [keys, message] of badConditions) {
  test.serial(`refused: ${JSON.stringify(keys)}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(bridge, { sandbox });
    const { output } = map(lab, sandbox, result, [good], keys);
    t.is(output.code, 2);
    t.true(output.msg?.startsWith(`failed to load netconf: ${message}, expected [!] -s, -d or -i`), output.msg);
    t.notRegex(lab.snapshot(), /portmap/);
  });
}
