/** container as a container runtime executes it: two containers share one network. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost, mounts, type Sandbox } from '../../support/host.ts';
import { bridgeConf, Lab } from '../../support/lab.ts';
import { namespaceAt, sharing, startMain } from './sandboxes.ts';

becomeHost();

test.serial('a namespace that was pinned and not used yet becomes the other one; DEL brings it back', (t) => {
  const lab = new Lab(t);
  const { sandbox: main, result: mains } = startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  const own = namespaceAt(sidecar.path);
  const [before, mountsBefore] = [lab.snapshot(), mounts()];

  const result = lab.add(sharing, { sandbox: sidecar });
  t.is(namespaceAt(sidecar.path), namespaceAt(main.path));
  const eth0 = mains.interfaces?.find(({ name }) => name === 'eth0');
  t.deepEqual(result.interfaces, [{ ...eth0, name: 'eth0', sandbox: sidecar.path }]);
  t.deepEqual(result.ips, [{ interface: 0, address: '10.1.0.2/24' }]);
  t.deepEqual(
    sidecar.ip('link').map((link) => link['address']),
    main.ip('link').map((link) => link['address']),
  );
  t.true(sidecar.reaches('10.1.0.1'));
  lab.check(sharing, { sandbox: sidecar }, result);

  for (let i = 0; i < 2; i++) {
    lab.del({ ...sharing, prevResult: result }, { sandbox: sidecar });
    t.is(namespaceAt(sidecar.path), own);
    t.is(mounts(), mountsBefore);
    t.is(lab.snapshot(), before);
    t.true(main.reaches('10.1.0.1'));
  }
});

test.serial('at every moment of an ADD and a DEL the path leads to a namespace', async (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  const watch = `echo ready; while [ ! -e ${lab.root}/enough ]; do stat -f -L -c %T ${sidecar.path} 2>&1; done | sort | uniq -c`;
  const watcher = spawn('bash', ['--norc', '-c', watch], { stdio: ['ignore', 'pipe', 'inherit'] });
  let seen = '';
  watcher.stdout.on('data', (data) => (seen += data));
  await once(watcher.stdout, 'data');
  for (let i = 0; i < 5; i++) {
    lab.add(sharing, { sandbox: sidecar });
    lab.del(sharing, { sandbox: sidecar });
  }
  writeFileSync(`${lab.root}/enough`, '');
  await once(watcher, 'close');
  t.regex(seen, /^ready\n +\d+ nsfs\n$/);
});

test.serial('two containers that share reach each other over localhost', async (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  lab.add(sharing, { sandbox: sidecar });
  const server = await echo(main, '127.0.0.1', '5000');
  try {
    t.is(sidecar.run('bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/5000; cat <&3').trim(), 'from main');
  } finally {
    server.kill();
    await once(server, 'close');
  }
});

test.serial(
  'where the container is in the namespace already, the answer says what is there, and DEL takes nothing',
  (t) => {
    const lab = new Lab(t);
    const { sandbox: main } = startMain(lab);
    const target = { containerId: 'sidecar', netns: main.path };
    const [before, mountsBefore] = [lab.snapshot(), mounts()];
    const result = lab.add(sharing, target);
    t.deepEqual(result.ips, [{ interface: 0, address: '10.1.0.2/24' }]);
    t.is(mounts(), mountsBefore);
    lab.check(sharing, target, result);
    for (let i = 0; i < 2; i++) lab.del(sharing, target);
    t.is(lab.snapshot(), before);
    t.is(mounts(), mountsBefore);
    t.true(main.reaches('10.1.0.1'));
  },
);

test.serial('whatever else the runtime deletes of a sharer, the owner keeps its interfaces and its loopback', (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  // Interfaces without our mark, as the reference plugins make them.
  main.run('ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth2');
  main.run('ip', 'link', 'add', 'link', 'eth2', 'name', 'eth3', 'type', 'macvlan');
  const links = () => main.ip('link').map(({ ifname, flags }) => `${ifname} ${flags}`);
  const lo = { cniVersion: '1.1.0', name: 'lo', type: 'loopback' };
  for (const netns of [main.path, lab.sandbox('sidecar').path]) {
    const sidecar = { containerId: 'sidecar', netns };
    lab.add(lo, { ...sidecar, ifname: 'lo' });
    lab.add(sharing, sidecar);
    const before = links();
    for (const type of ['bridge', 'ptp', 'none', 'macvlan']) {
      const conf = { ...bridgeConf(), type, master: 'cni0' };
      for (const ifname of ['eth0', 'eth1', 'eth3']) lab.del(conf, { ...sidecar, ifname });
    }
    lab.del(lo, { ...sidecar, ifname: 'lo' });
    lab.add(lo, { ...sidecar, ifname: 'lo' });
    lab.del(sharing, sidecar);
    lab.del(lo, { ...sidecar, ifname: 'lo' });
    t.deepEqual(links(), before);
    t.true(main.reaches('10.1.0.1') && main.reaches('127.0.0.1'));
  }
});

test.serial('one that shares is replaced by another, and the owner notices nothing', (t) => {
  const lab = new Lab(t);
  const { sandbox: sidecar } = startMain(lab);
  for (const name of ['first', 'second']) {
    using replaced = lab.sandbox(name);
    lab.add(sharing, { sandbox: replaced });
    t.true(replaced.reaches('10.1.0.1'));
    lab.del(sharing, { sandbox: replaced });
    t.true(sidecar.reaches('10.1.0.1'));
  }
});

test.serial(
  'runtimeConfig counts before CNI_ARGS, CNI_ARGS before the configuration; keys match without regard to case',
  (t) => {
    const lab = new Lab(t);
    const { sandbox: main } = startMain(lab);
    const shares = (more: object, args?: string) => {
      using sandbox = lab.sandbox('sidecar');
      const conf = { ...sharing, container: undefined, ...more };
      const target = { sandbox, ...(args !== undefined && { args }) };
      lab.add(conf, target);
      const isShared = namespaceAt(sandbox.path) === namespaceAt(main.path);
      lab.del(conf, target);
      return isShared;
    };
    t.true(shares({ container: 'unknown' }, 'CONTAINER=main'));
    t.true(shares({ container: 'unknown', runtimeConfig: { container: 'main' } }, 'CONTAINER=unknown'));
    t.true(shares({}, 'IgnoreUnknown=1;K8S_POD_NAME=x;CONTAINER=main'));
    t.true(shares({ CONTAINER: 'main' }));
    t.true(shares({ netns: main.path }));
    t.true(
      shares({ netns: '/run/none', runtimeConfig: { container: 'main' } }),
      'a container asked for counts before a path',
    );
  },
);

test.serial('a path by way of symbolic links is the same pin', (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  execFileSync('ln', ['-s', `${lab.root}/netns`, `${lab.root}/link`]);
  const target = { containerId: 'sidecar', netns: `${lab.root}/link/sidecar` };
  const before = mounts();
  lab.add(sharing, target);
  t.is(namespaceAt(sidecar.path), namespaceAt(main.path));
  lab.del(sharing, { ...target, netns: '' });
  t.is(mounts(), before);
  execFileSync('rm', [`${lab.root}/link`]);
});

test.serial('DEL needs no namespace, and leaves alone what the runtime has taken away or put there since', (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const before = lab.snapshot();
  for (const leave of ['nothing', 'its own']) {
    const sidecar = lab.sandbox('sidecar');
    lab.add(sharing, { sandbox: sidecar });
    execFileSync('umount', [sidecar.path]);
    if (leave === 'nothing') execFileSync('umount', [sidecar.path]);
    const mountsBefore = mounts();
    lab.del(sharing, { containerId: 'sidecar', netns: '' });
    t.is(mounts(), mountsBefore, leave);
    t.is(lab.snapshot(), before);
    sidecar[Symbol.dispose]();
  }
});

test.serial('GC takes sharers back that the runtime no longer knows, and no others', (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  const [known, forgotten, elsewhere] = ['known', 'forgotten', 'elsewhere'].map((name) => lab.sandbox(name)) as [
    Sandbox,
    Sandbox,
    Sandbox,
  ];
  lab.add({ ...sharing, name: 'other' }, { sandbox: elsewhere });
  lab.add(sharing, { sandbox: known });
  const [before, mountsBefore] = [lab.snapshot(), mounts()];
  lab.add(sharing, { sandbox: forgotten });
  lab.gc(sharing, [{ containerID: 'known', ifname: 'eth0' }]);
  t.is(mounts(), mountsBefore);
  t.is(lab.snapshot(), before);
  for (const { path } of [known, elsewhere]) t.is(namespaceAt(path), namespaceAt(main.path));
});

test.serial('CHECK says that the two are no longer one', (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  const prevResult = lab.add(sharing, { sandbox: sidecar });
  const check = () => lab.exec('CHECK', { ...sharing, prevResult }, { sandbox: sidecar }).output;
  t.is(check().code, undefined);
  execFileSync('umount', [sidecar.path]);
  t.is(check().code, 110);
  t.regex(check().msg ?? '', /is not the namespace of the container that it shares the network of/);
  lab.del(bridgeConf(), { sandbox: main });
  lab.del({ cniVersion: '1.1.0', name: 'lo', type: 'loopback' }, { sandbox: main, ifname: 'lo' });
  t.is(check().code, 110);
  t.regex(check().msg ?? '', /netloom has attached no container of that id/);
  lab.del(sharing, { sandbox: sidecar });
});

test.serial('STATUS says whether there is anybody to share with', (t) => {
  const lab = new Lab(t);
  t.like(lab.exec('STATUS', sharing).output, { code: 50 });
  t.is(lab.exec('STATUS', { ...sharing, container: undefined }).status, 0, 'the runtime says whom');
  startMain(lab);
  t.is(lab.exec('STATUS', sharing).status, 0);
});

test.serial('the last DEL of a container leaves no record', (t) => {
  const lab = new Lab(t);
  const { sandbox: main } = startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  lab.add(sharing, { sandbox: sidecar });
  const directory = `${lab.root}/run/netloom/attachments`;
  t.deepEqual(readdirSync(directory).sort(), ['main', 'sidecar']);
  lab.del(sharing, { sandbox: sidecar });
  t.deepEqual(readdirSync(directory), ['main']);
  lab.del(bridgeConf(), { sandbox: main });
  lab.del({ cniVersion: '1.1.0', name: 'lo', type: 'loopback' }, { sandbox: main, ifname: 'lo' });
  t.true(existsSync(directory));
  t.deepEqual(readdirSync(directory), []);
});

/** A server that tells each client where it runs. */
async function echo(sandbox: Sandbox, host: string, port: string): Promise<ChildProcess> {
  const program = `require('net').createServer((s) => s.end('from ${sandbox.name}')).listen(${port}, '${host}', () => console.log('ready'))`;
  const child = spawn('nsenter', [`--net=${sandbox.path}`, process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}
