/** `netloom inspect` sees every wire, whoever made it, and shows it as text and as pictures. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Snapshot } from '../../src/inspect/snapshot.ts';
import { unpin } from '../../src/netns/pin.ts';
import { Page } from '../support/browser.ts';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost, ip, type Sandbox } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  /**
   * A network with two sandboxes, and an uplink. NB: no other test uses its name, because inspect sees all namespaces
   * of the machine.
   */
  const demo = () => {
    uplink();
    netloom.run('network', 'create', '--subnet', '10.61.0.0/24', 'wires');
    for (const name of ['web', 'db']) {
      netloom.run('sandbox', 'create', '--name', name, '--network', 'wires');
      t.teardown(() => netloom.try('sandbox', 'rm', '--force', name));
    }
  };
  /** All lines of paths that begin in a namespace with this name. */
  const paths = (...args: string[]) =>
    netloom
      .run('inspect', '--paths', ...args)
      .split('\n')
      .filter(Boolean);
  return { lab, netloom, demo, paths };
}

function sh(command: string): void {
  execFileSync('sh', ['-ec', command], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function uplink(): void {
  sh(
    'ip link add up0 type veth peer name up1; ip addr add 192.168.61.2/24 dev up0; ip link set up0 up; ip link set up1 up',
  );
  sh('ip route add default via 192.168.61.1; sysctl -qw net.ipv4.ip_forward=1');
}

/** The links of a sandbox of the lab in a snapshot. */
function linksOf({ namespaces }: Snapshot, { path }: Pick<Sandbox, 'path'>) {
  return namespaces.find(({ pins }) => pins.includes(path))?.links ?? [];
}

test.serial('a path is one line from the interface in the sandbox to where it leaves the host', (t) => {
  const { netloom, demo, paths } = start(t);
  demo();
  const veth = String(
    netloom
      .json<Snapshot>('inspect', 'web')
      .namespaces[0]?.links.find(({ kind, network }) => kind === 'veth' && network === 'wires')?.name,
  );
  const line = `web  eth0 10.61.0.2/24 ⇄ ${veth} ─ br-wires 10.61.0.1/24 ─ nat → up0 192.168.61.2/24`;
  t.deepEqual(paths('web'), [line]);
  t.deepEqual(
    paths('wires').map((each) => each.split(' ')[0]),
    ['db', 'web'],
    'a network has all of its sandboxes',
  );
  for (const what of ['sandbox:web', '10.61.0.2', veth, `netns:${netloom.root}/run/netloom/netns/web`])
    t.deepEqual(paths(what), [line], what);
  t.is(paths('10.61.0.1').length, 2, 'what is wired to a bridge');
  t.true(
    paths()
      .map((each) => each.replace(/ +/, '  '))
      .includes(line),
    'everything has it too',
  );
  const text = netloom.run('inspect', 'web');
  t.is(text.split('\n')[0], line);
  t.regex(
    text,
    /^web {2}sandbox\n.*\n?└─ eth0 veth 10\.61\.0\.2\/24 mtu 1500 ⇄ host:veth\w+ network wires\n {3}default via 10\.61\.0\.1 dev eth0$/m,
  );
  t.regex(
    text,
    /^└─ br-wires bridge 10\.61\.0\.1\/24 mtu 1500\n {3}└─ veth\w+ veth mtu 1500 ⇄ web:eth0 network wires$/m,
  );
  t.notRegex(text, /\bdb\b/, 'a neighbour is not what was asked for');
  const { status, stderr } = netloom.try('inspect', 'nothing-of-this-name');
  t.is(status, 1);
  t.regex(stderr, /^netloom: Nothing here is called "nothing-of-this-name": .*\n {2}there are: host, .*\bweb\b/);
});

test.serial('bridges and masquerading of others are seen: docker0 with the rules of iptables', (t) => {
  const { lab, paths } = start(t);
  uplink();
  const container = lab.sandbox('c1');
  sh(`ip link add docker0 type bridge; ip addr add 172.29.0.1/16 dev docker0; ip link set docker0 up
    ip link add vethd0 type veth peer name eth0 netns ${container.path}; ip link set vethd0 master docker0 up
    iptables-nft -t nat -A POSTROUTING -s 172.29.0.0/16 ! -o docker0 -j MASQUERADE`);
  container.run('ip', 'addr', 'add', '172.29.0.2/16', 'dev', 'eth0');
  container.run('ip', 'link', 'set', 'eth0', 'up');
  const line = 'c1  eth0 172.29.0.2/16 ⇄ vethd0 ─ docker0 172.29.0.1/16 ─ nat → up0 192.168.61.2/24';
  t.deepEqual(paths('docker0'), [line]);
  sh('iptables-nft -t nat -F');
  t.deepEqual(paths('docker0'), [line.replace('─ nat →', '→')], 'routed and not masqueraded');
  // The rules of podman's reference plugins: one that jumps to a chain that masquerades.
  sh(`nft 'add table ip x; add chain ip x post { type nat hook postrouting priority 100; }; add chain ip x to
    add rule ip x to masquerade; add rule ip x post ip saddr 172.29.0.2 jump to'`);
  t.deepEqual(paths('docker0'), [line]);
  sh('sysctl -qw net.ipv4.ip_forward=0');
  t.deepEqual(paths('docker0'), ['c1  eth0 172.29.0.2/16 ⇄ vethd0 ─ docker0 172.29.0.1/16'], 'nothing leaves');
});

test.serial(
  'ends of wires are matched where several have the same indices, and ends that cannot be seen are said to be so',
  (t) => {
    const { lab, netloom } = start(t);
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => lab.sandbox(name)) as [Sandbox, Sandbox, Sandbox, Sandbox];
    for (const [one, other] of [
      [a, b],
      [c, d],
    ] as const) {
      one.run('ip', 'link', 'add', 'x0', 'index', '20', 'type', 'veth', 'peer', 'name', 'y0', 'index', '21');
      one.run('ip', 'link', 'set', 'y0', 'netns', other.path);
    }
    sh(
      `ip link add base0 type veth peer name base1; ip link add mac0 link base0 type macvlan mode bridge; ip link set mac0 netns ${a.path}`,
    );
    const lost = lab.sandbox('lost');
    sh(`ip link add z0 type veth peer name z1 netns ${lost.path}`);
    // A namespace that only an open file holds.
    const fd = openSync(lost.path, 'r');
    unpin(lost.path);
    const snapshot = netloom.json<Snapshot>('inspect');
    closeSync(fd);
    const find = (place: Sandbox, name: string) => linksOf(snapshot, place).find((link) => link.name === name);
    t.is(snapshot.format, 1);
    for (const [one, other] of [
      [a, b],
      [c, d],
    ] as const) {
      t.truthy(find(one, 'x0')?.id);
      t.is(find(one, 'x0')?.peer, find(other, 'y0')?.id);
      t.is(find(other, 'y0')?.peer, find(one, 'x0')?.id);
    }
    const host = snapshot.namespaces[0];
    t.true(host?.isHost);
    t.is(find(a, 'mac0')?.lower, host?.links.find(({ name }) => name === 'base0')?.id);
    t.deepEqual(find(a, 'mac0')?.details, { mode: 'bridge' });
    t.like(
      host?.links.find(({ name }) => name === 'z0'),
      { leadsAway: true },
    );
    // Compare with another tool.
    for (const { ifname, ifindex, mtu, address } of ip<{
      ifname: string;
      ifindex: number;
      mtu: number;
      address: string;
    }>('link')) {
      t.like(
        host?.links.find(({ index }) => index === ifindex),
        { name: ifname, mtu, ...(ifname !== 'lo' && { mac: address }) },
      );
    }
  },
);

test.serial('looking changes nothing: namespaces that no wire leads to get no number', (t) => {
  const { lab, netloom, demo } = start(t);
  demo();
  lab.sandbox('alone');
  const numbers = () => execFileSync('ip', ['netns', 'list-id'], { encoding: 'utf8' });
  const before = [numbers(), lab.snapshot()];
  netloom.run('inspect');
  t.deepEqual([numbers(), lab.snapshot()], before);
});

test.serial('without privileges the own namespace is seen, and what is not is said', (t) => {
  const { netloom, demo } = start(t);
  demo();
  const text = execFileSync('setpriv', ['--bounding-set=-all', NETLOOM, 'inspect'], {
    env: netloom.environment,
    encoding: 'utf8',
  });
  t.regex(text, /^├─ up0 veth 192\.168\.61\.2\/24 mtu 1500/m);
  t.regex(text, /⇄ \(not seen\) network wires$/m);
  t.regex(text, /^not seen: the rules of nftables cannot be read: masquerading is not shown$/m);
  t.regex(text, /^not seen: the namespace \S*\/netns\/web could not be looked into: /m);
});

test.serial('links that are down or without carrier are marked in every view', (t) => {
  const { lab, netloom, paths } = start(t);
  const box = lab.sandbox('box');
  sh(
    `ip link add dn0 type veth peer name eth0 netns ${box.path}; ip link add nobody0 type bridge; ip link set nobody0 up; ip link add q0 type veth peer name q1; ip link set q0 master nobody0`,
  );
  box.run('ip', 'link', 'set', 'eth0', 'up');
  t.deepEqual(paths('dn0'), ['box  eth0 (no carrier) ⇄ dn0 (down)']);
  t.regex(netloom.run('inspect', 'nobody0'), /[└├]─ nobody0 bridge mtu 1500 \(no carrier\)/);
  t.regex(netloom.run('inspect', '--mermaid', 'dn0'), /\["eth0<br>veth"\]:::nocarrier/);
  t.regex(netloom.run('inspect', '--dot', 'dn0'), /\[label="dn0\\nveth" color="#cf222e"\]/);
  t.regex(netloom.run('inspect', '--svg', 'dn0'), /class="link down"[^>]*data-link="dn0"/);
});

test.serial('diagrams have a box for each namespace and a line for each wire', (t) => {
  const { netloom, demo } = start(t);
  demo();
  const mermaid = netloom.run('inspect', '--mermaid', 'wires');
  t.is(mermaid.match(/^ {2}subgraph /gm)?.length, 3);
  t.is(mermaid.match(/<-->\|"eth0 10\.61\.0\.\d\/24 ⇄ veth\w+, mtu 1500"\|/g)?.length, 2);
  const dot = netloom.run('inspect', '--dot', 'wires');
  t.is(dot.match(/subgraph cluster_/g)?.length, 3);
  t.is(dot.match(/ -> /g)?.length, 4, 'two wires, two ports');
  t.regex(netloom.try('inspect', '--dot', '--svg').stderr, /Cannot combine --dot and --svg, expected one of them/);
  t.regex(netloom.try('inspect', '--watch', '--svg').stderr, /Cannot combine --watch and --svg, expected --json or no/);
});

test.serial('diff tells what has changed between two snapshots, and leaves with 1', (t) => {
  const { lab, netloom, demo } = start(t);
  demo();
  const keep = (name: string) => {
    const file = join(lab.root, name);
    writeFileSync(file, netloom.run('inspect', '--json', 'wires'));
    return file;
  };
  const before = keep('before.json');
  t.deepEqual(netloom.try('inspect', 'diff', before, before), { status: 0, stdout: '', stderr: '' });
  netloom.run('sandbox', 'rm', 'db');
  sh('ip link set br-wires mtu 1400');
  const after = keep('after.json');
  const { status, stdout } = netloom.try('inspect', 'diff', before, after);
  t.is(status, 1);
  for (const line of ['- db', '- db eth0', '~ host br-wires: mtu 1500 → 1400'])
    t.true(stdout.split('\n').includes(line), `${line} in\n${stdout}`);
  t.like(JSON.parse(netloom.try('inspect', 'diff', '--json', after, before).stdout), { 0: { change: 'added' } });
  writeFileSync(after, '{"format": 2}');
  t.regex(netloom.try('inspect', 'diff', before, after).stderr, /Cannot read the snapshot ".*after.json": .*"format"/);
});

test.serial('--watch prints what changes, also inside a sandbox', async (t) => {
  const { netloom, demo } = start(t);
  demo();
  const child = spawn(NETLOOM, ['inspect', '--watch', 'web'], {
    env: netloom.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  let wake = () => {};
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  const seen = async (pattern: RegExp) => {
    while (!pattern.test(text)) await new Promise<void>((resolve) => (wake = resolve));
  };
  await seen(/^web {2}eth0 10\.61\.0\.2/);
  netloom.run('exec', 'web', '--', 'ip', 'addr', 'add', '10.61.0.77/32', 'dev', 'eth0');
  await seen(/^~ web eth0: addresses 10\.61\.0\.2\/24\b.* → .*10\.61\.0\.77\/32/m);
  sh('ip link set br-wires mtu 1300');
  await seen(/^~ host br-wires: mtu 1500 → 1300$/m);
  t.pass();
});

test.serial(
  'the picture is right in a browser: boxes, wires, light and dark, and the path lit that is pointed at',
  async (t) => {
    const { lab, netloom, demo } = start(t);
    demo();
    const file = join(lab.root, 'wiring.html');
    const html = netloom.run('inspect', '--html', 'wires');
    writeFileSync(file, html);
    t.notRegex(
      html.replaceAll('http://www.w3.org/2000/svg', ''),
      /https?:|src=|<link|@import/,
      'it needs nothing from elsewhere',
    );
    const snapshot = netloom.json<Snapshot>('inspect', 'wires');
    const page = await Page.open(file);
    t.teardown(() => page.close());
    t.deepEqual(
      await page.evaluate("[...document.querySelectorAll('.namespace')].map((e) => e.dataset.namespace).sort()"),
      ['db', 'host', 'web'],
    );
    // Each wire in the picture is one that `ip` lists.
    const wires = await page.evaluate<[string, string][]>(
      "[...document.querySelectorAll('.edge.wire')].map((e) => [e.dataset.from, e.dataset.to])",
    );
    const links = snapshot.namespaces.flatMap((namespace) =>
      namespace.links.map((link) => ({ ...link, namespace: namespace.names[0]?.name ?? '' })),
    );
    const named = wires.map((ends) =>
      ends.map((id) => links.find((link) => link.id === id)).map((link) => `${link?.namespace} ${link?.name}`),
    );
    const host = ip<{ ifname: string; link_index?: number; ifindex: number }>('link');
    const expected = ['db', 'web'].map((name) => {
      const inside = JSON.parse(netloom.run('exec', name, '--', 'ip', '-j', 'link', 'show', 'eth0')) as {
        link_index: number;
      }[];
      return [`${name} eth0`, `host ${host.find(({ ifindex }) => ifindex === inside[0]?.link_index)?.ifname}`];
    });
    t.deepEqual(named.sort(), expected);
    // Nothing overlaps, and every link is inside its namespace's box.
    const boxes = (selector: string) =>
      page.evaluate<{ id: string; x: number; y: number; r: number; b: number }[]>(
        `[...document.querySelectorAll('${selector} > rect')].map((e) => { const { x, y, right: r, bottom: b } = e.getBoundingClientRect(); return { id: e.parentElement.dataset.link ?? e.parentElement.dataset.namespace, x, y, r, b }; })`,
      );
    const [namespaces, nodes] = [await boxes('.namespace'), await boxes('.link')];
    for (const group of [namespaces, nodes]) {
      for (const [i, one] of group.entries()) {
        for (const other of group.slice(i + 1))
          t.true(
            one.r <= other.x || other.r <= one.x || one.b <= other.y || other.b <= one.y,
            `${one.id} and ${other.id} overlap`,
          );
      }
    }
    for (const node of nodes)
      t.true(
        namespaces.some((box) => box.x <= node.x && node.r <= box.r && box.y <= node.y && node.b <= box.b),
        node.id,
      );
    // Names, addresses and MTU are readable.
    const text = await page.evaluate<string>("document.querySelector('svg').textContent");
    for (const word of ['eth0', 'br-wires', '10.61.0.2/24', '10.61.0.1/24', 'mtu 1500', 'nat'])
      t.true(text.includes(word), word);
    // Hover: the path of web lights up, that of db does not.
    const litEnds = () =>
      page.evaluate<string[]>("[...document.querySelectorAll('.link.lit')].map((e) => e.dataset.id)");
    const idOf = (namespace: string, name: string) =>
      links.find((link) => link.namespace === namespace && link.name === name)?.id ?? '';
    await page.pointAt(`.link[data-id="${idOf('web', 'eth0')}"]`);
    const lit = await litEnds();
    for (const id of [idOf('web', 'eth0'), idOf('host', 'br-wires'), idOf('host', 'up0')]) t.true(lit.includes(id));
    t.false(lit.includes(idOf('db', 'eth0')));
    t.is(await page.evaluate("document.querySelectorAll('.edge.lit').length"), 3, 'wire, port, nat');
    await page.pointAt(`.link[data-id="${idOf('host', 'br-wires')}"]`);
    t.true((await litEnds()).includes(idOf('db', 'eth0')), 'through the bridge both go');
    await page.pointAt('h1');
    t.deepEqual(await litEnds(), []);
    const ground = () => page.evaluate<string>("getComputedStyle(document.querySelector('svg')).backgroundColor");
    await page.prefer('light');
    t.is(await ground(), 'rgb(255, 255, 255)');
    await page.prefer('dark');
    t.is(await ground(), 'rgb(13, 17, 23)');
    const stroke = await page.evaluate<string>("getComputedStyle(document.querySelector('.link.up > rect')).stroke");
    t.is(stroke, 'rgb(63, 185, 80)');
    t.deepEqual(page.complaints, []);
  },
);
