/** What the agent reports about itself: metrics, status, health and the log. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, type ExecOptions, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { AgentProcess, agentOnly, modeOf } from './agent-process.ts';
import { ask, deskOf, samples } from './ask.ts';

becomeHost();

const NETLOOM = fileURLToPath(new URL('../../dist/netloom', import.meta.url));
const TRACE = { id: '4bf92f3577b34da6a3ce929d0e0e4736', span: '00f067aa0ba902b7' };

function throughAgent(lab: Lab): ExecOptions {
  return { bin: agentOnly(lab), path: BIN };
}

function status(lab: Lab, ...args: readonly string[]) {
  return spawnSync(NETLOOM, ['status', ...args], { env: { NETLOOM_ROOT: lab.root }, encoding: 'utf8' });
}

/** The lines of an agent's log. Throws if one is not JSON. */
function logOf(agent: AgentProcess): Record<string, unknown>[] {
  const lines = agent.stderr.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

function settings(lab: Lab, text: string): void {
  mkdirSync(join(lab.root, 'etc/netloom'), { recursive: true });
  writeFileSync(join(lab.root, 'etc/netloom/agent.json'), text);
}

/** Writes a conflist of the lab's configuration, with the keys of bridgeConf(). */
function configure(lab: Lab): void {
  mkdirSync(join(lab.root, 'etc/cni/net.d'), { recursive: true });
  const { cniVersion, name, ...plugin } = bridgeConf();
  writeFileSync(join(lab.root, 'etc/cni/net.d/net.conflist'), JSON.stringify({ cniVersion, name, plugins: [plugin] }));
}

test.serial(
  'metrics count calls by type, command and outcome, endpoints, leases and refusals of the kernel',
  async (t) => {
    const lab = new Lab(t);
    const options = throughAgent(lab);
    configure(lab);
    await AgentProcess.start(t, lab);
    const [one, two] = [{ sandbox: lab.sandbox('c1') }, { sandbox: lab.sandbox('c2') }];
    lab.add(bridgeConf(), one, options);
    lab.add(bridgeConf(), two, options);
    lab.del(bridgeConf(), two, options);
    t.is(lab.exec('ADD', bridgeConf({ mtu: 'much' }), two, options).output.code, 7);
    // A gateway that the container cannot reach.
    const ipam = { type: 'host-local', subnet: '10.1.0.0/24', routes: [{ dst: '192.0.2.0/24', gw: '198.51.100.1' }] };
    t.regex(lab.exec('ADD', bridgeConf({ ipam }), two, options).stdout, /ENETUNREACH/);
    lab.exec('STATUS', bridgeConf(), {}, { ...options, environment: { NETLOOM_TRACE: 'netlink' } });
    lab.exec('STATUS', bridgeConf(), {}, { ...options, wrap: ['unshare', '--net'] });

    const { status, text } = await ask(deskOf(lab), '/metrics');
    t.is(status, 200);
    const found = samples(text);
    t.is(found.get('netloom_calls_total{type="bridge",command="ADD",code="0"}'), 2);
    t.is(found.get('netloom_calls_total{type="bridge",command="ADD",code="7"}'), 1);
    t.is(found.get('netloom_calls_total{type="bridge",command="DEL",code="0"}'), 1);
    t.is(found.get('netloom_calls_declined_total'), 1, 'the traced call did not come to it');
    t.is(found.get('netloom_call_duration_seconds_count{type="bridge",command="ADD"}'), 4);
    t.is(found.get('netloom_call_duration_seconds_bucket{type="bridge",command="ADD",le="+Inf"}'), 4);
    t.true((found.get('netloom_call_duration_seconds_sum{type="bridge",command="ADD"}') ?? 0) > 0);
    t.true((found.get('netloom_kernel_errors_total{errno="ENETUNREACH"}') ?? 0) >= 1);
    t.is(found.get('netloom_endpoints{network="net"}'), 1);
    t.is(found.get('netloom_leases_used{network="net",ranges="10.1.0.1-10.1.0.254"}'), 1);
    t.is(found.get('netloom_leases_free{network="net",ranges="10.1.0.1-10.1.0.254"}'), 252);
    const buckets = [...found].filter(([key]) =>
      key.startsWith('netloom_call_duration_seconds_bucket{type="bridge",command="ADD"'),
    );
    const counts = buckets.map(([, count]) => count);
    t.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
      'buckets are cumulative',
    );
  },
);

test.serial('a call that failed is in the log with its error; one that is traced with its trace', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  const agent = await AgentProcess.start(t, lab);
  const target = { sandbox: lab.sandbox('c1') };
  const traced = (value: string) => ({ ...options, environment: { TRACEPARENT: value } });
  lab.add(bridgeConf(), target, options);
  lab.exec('STATUS', bridgeConf(), {}, traced(`00-${TRACE.id}-${TRACE.span}-01`));
  for (const wrong of ['', 'x', `00-${'0'.repeat(32)}-${TRACE.span}-01`, `ff-${TRACE.id}-${TRACE.span}-01`]) {
    lab.exec('STATUS', bridgeConf(), {}, traced(wrong));
  }
  lab.exec('ADD', bridgeConf({ mtu: 'much' }), target, traced(`00-${TRACE.id}-${TRACE.span}-00`));
  await until('the failure is in the log', () => agent.stderr.includes('call failed'));
  const [first, ...calls] = logOf(agent);
  t.is(first?.['message'], 'serving calls');
  t.is(first?.['pid'], agent.pid);
  t.is(calls.length, 2);
  t.like(calls[0], {
    level: 'info',
    type: 'bridge',
    command: 'STATUS',
    network: 'net',
    code: 0,
    trace_id: TRACE.id,
    span_id: TRACE.span,
    trace_flags: '01',
  });
  t.like(calls[1], { level: 'warn', command: 'ADD', container: 'c1', ifname: 'eth0', code: 7, trace_flags: '00' });
  t.regex(String(calls[1]?.['error']), /"mtu" is "much"/);
  t.true(calls.every(({ time, ms }) => !Number.isNaN(Date.parse(String(time))) && typeof ms === 'number'));
});

test.serial('netloom status says what the agent does, and that there is none', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  configure(lab);
  const before = status(lab, '--json');
  t.is(before.status, 3);
  t.deepEqual(JSON.parse(before.stdout), { running: false });
  t.is(status(lab).stdout, 'no agent runs: plugins work by themselves\n');

  const agent = await AgentProcess.start(t, lab);
  const target = { sandbox: lab.sandbox('c1') };
  lab.add(bridgeConf(), target, options);
  lab.exec('ADD', bridgeConf({ mtu: 'much' }), target, options);
  const { status: code, stdout } = status(lab, '--json');
  t.is(code, 0);
  const told = JSON.parse(stdout);
  t.like(told, { running: true, pid: agent.pid, declined: 0, broken: 0 });
  t.is(told.watches.socket, `${lab.root}/run/netloom/agent.sock`);
  t.deepEqual(told.watches.answersAt, [`unix:${deskOf(lab)}`]);
  t.is(told.calls.length, 1);
  t.like(told.calls[0], { type: 'bridge', command: 'ADD', count: 2, failed: { 7: 1 } });
  t.true(told.calls[0].median > 0 && told.calls[0].p99 >= told.calls[0].median);
  t.like(told.networks[0], { name: 'net', endpoints: 1 });
  t.regex(status(lab).stdout, /^bridge +ADD +2 /m);
  t.regex(status(lab).stdout, /^net +1 +1 +252$/m);

  await agent.kill();
  t.true(existsSync(deskOf(lab)), 'its socket outlives a killed one');
  t.is(status(lab).status, 3);
});

test.serial('only those questions are answered that there are, at sockets that are root’s', async (t) => {
  const lab = new Lab(t);
  const socket = join(lab.root, 'scrape.sock');
  await AgentProcess.start(
    t,
    lab,
    '--metrics',
    '127.0.0.1:9464',
    '--metrics',
    `unix:${socket}`,
    '--metrics',
    '[::1]:9465',
  );
  for (const place of ['127.0.0.1:9464', '::1:9465', socket, deskOf(lab)]) {
    t.deepEqual(await ask(place, '/healthz'), { status: 200, text: 'ok\n' }, place);
    t.is((await ask(place, '/elsewhere')).status, 404);
    t.is((await ask(place, '/metrics', 'POST')).status, 405);
    t.is(samples((await ask(place, '/metrics')).text).get('netloom_calls_declined_total'), 0);
  }
  t.is(modeOf(join(lab.root, 'run/netloom')), 0o700);
});

test.serial('SIGHUP reads the settings again; what is wrong with them is told, and the old ones stay', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  settings(lab, JSON.stringify({ logLevel: 'debug', metrics: ['127.0.0.1:9464'] }));
  const agent = await AgentProcess.start(t, lab);
  lab.exec('STATUS', bridgeConf(), {}, options);
  await until('each call is in the log', () => agent.stderr.includes('"command":"STATUS"'));
  t.is((await ask('127.0.0.1:9464', '/healthz')).status, 200);

  settings(lab, '{"logLevel": "loud"}');
  agent.signal('SIGHUP');
  await until('the fault is told', () => agent.stderr.includes('"logLevel\\" is \\"loud\\"'));
  t.is((await ask('127.0.0.1:9464', '/healthz')).status, 200);

  settings(lab, '{"metrics": ["127.0.0.1:9465"]}');
  agent.signal('SIGHUP');
  await until('they are read', () => agent.stderr.includes('read the settings again'));
  t.is((await ask('127.0.0.1:9465', '/healthz')).status, 200);
  await t.throwsAsync(ask('127.0.0.1:9464', '/healthz'), { code: 'ECONNREFUSED' });
  lab.exec('CHECK', bridgeConf(), {}, options);
  t.false(agent.stderr.includes('"command":"STATUS","network":"net","code":0,"level":"debug"'));
  t.is(logOf(agent).filter(({ level }) => level === 'debug').length, 1);
});

const WRONG: readonly [settings: string, complaint: RegExp][] = [
  ['{', /expected a key in double quotes or "}" in line 1, column 2, not the end/],
  ['[]', /expected a JSON object/],
  ['{"callLimit": 0}', /"callLimit" is 0, expected a number of seconds above 0, up to 140/],
  // The shim would have given up by then.
  ['{"callLimit": 141}', /"callLimit" is 141, expected a number of seconds above 0, up to 140/],
  ['{"drainLimit": "5"}', /"drainLimit" is "5", expected a number of seconds/],
  ['{"metrics": "127.0.0.1:9464"}', /"metrics" is "127.0.0.1:9464", expected a list/],
  ['{"metrics": ["9464"]}', /"metrics\[0\]" is "9464", expected an address such as/],
  ['{"metrics": ["localhost:70000"]}', /expected an address such as/],
  ['{"metrics": ["unix:relative"]}', /expected an address such as/],
  ['{"metric": [5]}', /"metric" is \[5\], expected no such key, only callLimit, drainLimit, logLevel, metrics/],
];
for (const [text, complaint] of WRONG) {
  test.serial(`an agent does not begin with the settings ${text}`, (t) => {
    const lab = new Lab(t);
    settings(lab, text);
    const { status, stderr } = spawnSync(NETLOOM, ['agent'], {
      env: { NETLOOM_ROOT: lab.root },
      encoding: 'utf8',
      timeout: 30_000,
    });
    t.is(status, 1);
    t.regex(stderr, complaint);
    t.false(existsSync(join(lab.root, 'run/netloom/agent.sock')));
  });
}

test.serial('a place that cannot be had, or is somebody’s file, keeps nobody from calling', async (t) => {
  const lab = new Lab(t);
  const file = join(lab.root, 'file');
  writeFileSync(file, 'somebody’s');
  const places = [`unix:${lab.root}/missing/sock`, `unix:${file}`];
  const agent = await AgentProcess.start(t, lab, ...places.flatMap((place) => ['--metrics', place]));
  for (const place of places) t.true(agent.stderr.includes(`Cannot answer at \\"${place}\\"`), agent.stderr);
  t.is(readFileSync(file, 'utf8'), 'somebody’s');
  t.is(lab.exec('STATUS', bridgeConf(), {}, throughAgent(lab)).status, 0);
});
