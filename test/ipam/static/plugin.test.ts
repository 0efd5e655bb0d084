import test, { type ExecutionContext } from 'ava';
import { staticIpam } from '../../../src/ipam/static/plugin.ts';
import { type CallOptions, callOf, shown, temporary } from '../calls.ts';

const conf = (more: object = {}) => ({
  ipam: {
    type: 'static',
    addresses: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }],
    dns: { nameservers: ['192.0.2.3'], domain: 'a.example' },
  },
  ...more,
});

function add(t: ExecutionContext, from: object, options?: CallOptions): { ips?: object[] } {
  return shown(staticIpam.add(callOf(staticIpam, temporary(t), from, options))) as { ips?: object[] };
}

test('the result is what the configuration says', (t) => {
  t.deepEqual(add(t, conf()), {
    ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }],
    dns: { nameservers: ['192.0.2.3'], domain: 'a.example' },
  });
});

test('CNI_ARGS adds addresses, with the gateway that lies in their subnet', (t) => {
  t.deepEqual(add(t, conf(), { args: 'IP=10.2.0.5/24, 10.3.0.5/24;GATEWAY=10.2.0.1,fd00::1' }).ips, [
    { address: '10.1.0.5/24', gateway: '10.1.0.1' },
    { address: 'fd00::5/64', gateway: 'fd00::1' },
    { address: '10.2.0.5/24', gateway: '10.2.0.1' },
    { address: '10.3.0.5/24' },
  ]);
});

test('args.cni.ips replaces them, and runtimeConfig.ips replaces those', (t) => {
  const args = { args: { cni: { ips: ['10.8.0.5/24'] } } };
  t.deepEqual(add(t, conf(args), { args: 'IP=10.2.0.5/24' }).ips, [{ address: '10.8.0.5/24' }]);
  t.deepEqual(add(t, conf({ ...args, runtimeConfig: { ips: ['10.9.0.5/24'] } })).ips, [{ address: '10.9.0.5/24' }]);
  t.is(add(t, conf({ args: { cni: { ips: [] } }, runtimeConfig: { ips: [] } })).ips?.length, 2);
});

test('what is no address is refused', (t) => {
  t.throws(() => add(t, { ipam: { type: 'static', addresses: [{ address: '10.1.0.5' }] } }), {
    message: /"ipam\.addresses\[0\]\.address" is "10\.1\.0\.5"/,
  });
  t.throws(() => add(t, conf(), { args: 'IP=10.2.0.5' }), { message: /^ARGS: invalid CIDR "10\.2\.0\.5"/ });
  t.throws(() => add(t, conf(), { args: 'GATEWAY=x' }), { message: /^ARGS: invalid gateway address: "x"/ });
  t.throws(() => add(t, conf({ runtimeConfig: { ips: ['10.9.0.5'] } })), { message: /"runtimeConfig\.ips\[0\]"/ });
});

test('versions before 0.3.0 have one address a family', (t) => {
  t.throws(() => add(t, conf({ cniVersion: '0.2.0' }), { args: 'IP=10.2.0.5/24' }), {
    message: /does not support more than 1 address per family/,
  });
});

test('CHECK needs prevResult, and says which address differs', (t) => {
  const check = (more: object) => staticIpam.check(callOf(staticIpam, temporary(t), conf(more)));
  const ips = [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }];
  t.throws(() => check({}), { message: 'Required prevResult missing' });
  t.notThrows(() => check({ prevResult: { cniVersion: '1.1.0', ips } }));
  t.throws(() => check({ prevResult: { cniVersion: '1.1.0', ips: ips.slice(1) } }), {
    message: 'static: Failed to match addr 10.1.0.5 on interface eth0: it is not in prevResult',
  });
  t.throws(
    () =>
      check({ prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.9' }, ips[1]] } }),
    {
      message: /its gateway is 10\.1\.0\.9, expected 10\.1\.0\.1$/,
    },
  );
});
