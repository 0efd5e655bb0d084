import test from 'ava';
import { readEnvironment } from '../../src/cni/environment.ts';

const FULL = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'abc-1.2_3',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'IP=10.0.0.2',
  CNI_PATH: '/a:/b',
};

const INVALID = { code: 'invalid-environment' };

test('a full environment is read', (t) => {
  t.deepEqual(readEnvironment(FULL), {
    command: 'ADD',
    containerId: 'abc-1.2_3',
    netns: '/run/netns/x',
    ifname: 'eth0',
    args: 'IP=10.0.0.2',
    path: ['/a', '/b'],
    mayBeOwnNetns: false,
  });
});

test('one message lists every variable that is missing', (t) => {
  t.throws(() => readEnvironment({ CNI_COMMAND: 'ADD' }), {
    ...INVALID,
    message: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
  });
  t.throws(() => readEnvironment({ ...FULL, CNI_COMMAND: 'CHECK', CNI_NETNS: '', CNI_PATH: '' }), {
    ...INVALID,
    message: 'required env variables [CNI_NETNS,CNI_PATH] missing',
  });
  t.throws(() => readEnvironment({}), { ...INVALID, message: 'required env variables [CNI_COMMAND] missing' });
});

test('DEL needs no namespace', (t) => {
  t.is(readEnvironment({ ...FULL, CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns, '');
  t.throws(() => readEnvironment({ CNI_COMMAND: 'DEL' }), {
    ...INVALID,
    message: 'required env variables [CNI_CONTAINERID,CNI_IFNAME,CNI_PATH] missing',
  });
});

for (const command of ['GC', 'STATUS']) {
  test(`${command} needs CNI_PATH alone`, (t) => {
    t.is(String(readEnvironment({ CNI_COMMAND: command, CNI_PATH: '/a' }).command), command);
    t.throws(() => readEnvironment({ CNI_COMMAND: command }), {
      ...INVALID,
      message: 'required env variables [CNI_PATH] missing',
    });
  });
}

test('VERSION needs nothing', (t) => {
  t.is(readEnvironment({ CNI_COMMAND: 'VERSION' }).command, 'VERSION');
});

for (const command of ['FOO', 'add', 'constructor']) {
  test(`no command: ${command}`, (t) => {
    t.throws(() => readEnvironment({ ...FULL, CNI_COMMAND: command }), {
      ...INVALID,
      message: `unknown CNI_COMMAND: "${command}", expected one of ADD, CHECK, DEL, GC, STATUS, VERSION`,
    });
  });
}

for (const id of ['a/b', '../a', '-a', '.', 'a b', 'a\n', 'ü']) {
  test(`no container id: ${JSON.stringify(id)}`, (t) => {
    t.throws(() => readEnvironment({ ...FULL, CNI_CONTAINERID: id }), { ...INVALID, message: /CNI_CONTAINERID/ });
  });
}

for (const ifname of ['a/b', 'a:b', 'a b', '.', '..', 'a123456789012345']) {
  test(`no name of an interface: ${ifname}`, (t) => {
    t.throws(() => readEnvironment({ ...FULL, CNI_IFNAME: ifname }), { ...INVALID, message: /CNI_IFNAME/ });
  });
}

test('empty directories of CNI_PATH are dropped', (t) => {
  t.deepEqual(readEnvironment({ ...FULL, CNI_PATH: ':/a::/b:' }).path, ['/a', '/b']);
});

test('CNI_NETNS_OVERRIDE is 1 or true', (t) => {
  const override = (value: string) => readEnvironment({ ...FULL, CNI_NETNS_OVERRIDE: value }).mayBeOwnNetns;
  t.deepEqual(['1', 'true', 'TRUE', '0', '', 'yes'].map(override), [true, true, true, false, false, false]);
});
