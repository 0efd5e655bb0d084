/** Policy documents: the examples of docs/policy.md, and the rules that follow from a policy. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readPolicy } from '../../src/attach/policy-rules.ts';
import { Ip } from '../../src/net/ip.ts';
import type { Box } from '../../src/nft/policy-boxes.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/policy.md', import.meta.url)), 'utf8');
const examples = [...page.matchAll(/```json\n(.*?)```/gs)].map(
  ([, text = '']) => JSON.parse(text) as Record<string, unknown>,
);

const text = (boxes: readonly Box[] | undefined) =>
  boxes
    ?.map(({ peer, protocol, port }) => {
      const ip = (value: bigint) => `${Ip.fromBigInt(4, value)}`;
      return `${ip(peer[0])}-${ip(peer[1])} ${protocol.join('-')} ${port.join('-')}`;
    })
    .sort();
const all = '0-255 0-65535';

test('the examples of docs/policy.md are policies', (t) => {
  t.is(examples.length, 3);
  const [long, short, item] = examples;
  const { ingress, egress } = readPolicy(long, 'policy');
  t.deepEqual(text(ingress[4]), [
    '0.0.0.0-255.255.255.255 1-1 0-65535',
    '172.20.10.0-172.20.10.8 6-6 80-443',
    '172.20.10.10-172.20.10.255 6-6 80-443',
  ]);
  t.deepEqual(text(egress[4]), [`0.0.0.0-9.255.255.255 ${all}`, `11.0.0.0-255.255.255.255 ${all}`]);
  t.is(egress[6], undefined);
  const brief = readPolicy(short, 'policy');
  t.deepEqual(text(brief.ingress[4]), [`172.20.10.0-172.20.10.255 ${all}`]);
  t.deepEqual(brief.ingress[6], []);
  t.is(brief.egress[4], undefined);
  t.deepEqual(brief.egress[6], []);
  t.deepEqual(text(readPolicy(item?.['policy'], 'policy').ingress[4]), [`10.1.0.0-10.1.0.255 ${all}`]);
});

for (const [title, policy, expected] of [
  ['nothing is not restricted', {}, undefined],
  ['an empty direction is not restricted', { ingress: {} }, undefined],
  ['null is nothing', { ingress: null }, undefined],
  ['deny alone', { ingress: { default: 'deny' } }, []],
  ['a deny of everybody', { ingress: { deny: ['0.0.0.0/0'] } }, []],
  ['an allow of everybody', { ingress: { default: 'deny', allow: ['0.0.0.0/0'] } }, undefined],
  ['allows make the default a deny', { ingress: { allow: ['10.0.0.0/8'] } }, [`10.0.0.0-10.255.255.255 ${all}`]],
  [
    'what is denied is denied',
    { ingress: { allow: ['10.0.0.0/30'], deny: ['10.0.0.2/32'] } },
    [`10.0.0.0-10.0.0.1 ${all}`, `10.0.0.3-10.0.0.3 ${all}`],
  ],
  [
    'rules may overlap',
    {
      ingress: {
        allow: [
          { from: ['10.0.0.0/8'], ports: [{ protocol: 'tcp', port: 80 }] },
          { from: ['10.0.0.0/8'], ports: [{ protocol: 'tcp', port: 1, endPort: 100 }] },
        ],
      },
    },
    ['10.0.0.0-10.255.255.255 6-6 1-79', '10.0.0.0-10.255.255.255 6-6 80-80', '10.0.0.0-10.255.255.255 6-6 81-100'],
  ],
] as const) {
  test(title, (t) => {
    t.deepEqual(text(readPolicy(policy, 'policy').ingress[4]), expected === undefined ? undefined : [...expected]);
  });
}

test('ten thousand prefixes are compared with their neighbours only, and one that overlaps is found among them', (t) => {
  const allow = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
  t.is(readPolicy({ ingress: { allow } }, 'policy').ingress[4]?.length, 10_000);
  t.throws(() => readPolicy({ ingress: { allow: [...allow, '10.7.0.0/16'] } }, 'policy'), {
    message:
      /"policy.ingress.allow\[10000\]" is "10.7.0.0\/16", expected a prefix that does not overlap "policy.ingress.allow\[1792\]"/,
  });
});
