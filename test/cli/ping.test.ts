/** The demo's echo requests: a lost one is repeated, and the time is that of the one that was answered. */
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { ping } from '../../src/cli/demo/ping.ts';
import { Ip } from '../../src/net/ip.ts';
import { becomeHost, makeRoot, Sandbox } from '../support/host.ts';

becomeHost();

const ADDRESS = '192.0.2.2';

/** A neighbour with the address, whose ruleset has this rule in a chain of the hook. */
function neighbour(t: ExecutionContext, hook: string, rule: string): Sandbox {
  const root = makeRoot();
  const sandbox = new Sandbox(root.path, 'other');
  t.teardown(() => {
    execFileSync('ip', ['link', 'del', 'lan0']);
    sandbox[Symbol.dispose]();
    root.remove();
  });
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', sandbox.path);
  ip('addr', 'add', '192.0.2.1/24', 'dev', 'lan0');
  ip('link', 'set', 'lan0', 'up');
  sandbox.run('ip', 'addr', 'add', `${ADDRESS}/24`, 'dev', 'eth0');
  sandbox.run('ip', 'link', 'set', 'eth0', 'up');
  sandbox.run('nft', `table ip t { chain c { type filter hook ${hook} priority 0; ${rule}; }; }`);
  return sandbox;
}

test.serial('a request that is lost is asked again, and the time is that of the one that was answered', (t) => {
  neighbour(t, 'input', 'icmp type echo-request icmp sequence 1 drop');
  const start = performance.now();
  const took = ping(Ip.parse(ADDRESS)) ?? Number.NaN;
  t.true(took > 0);
  t.true(took <= performance.now() - start - 200, `${took} ms, from the first request on`);
});

test.serial('where nobody answers there is no time, and it was asked more than once', (t) => {
  const silent = neighbour(t, 'input', 'icmp type echo-request counter drop');
  t.is(ping(Ip.parse(ADDRESS), 3_000), undefined);
  const [, packets = ''] = /counter packets (\d+)/.exec(silent.run('nft', 'list', 'ruleset')) ?? [];
  t.true(Number(packets) > 1, packets);
});

test.serial('the answer of another address is none', (t) => {
  neighbour(t, 'output', 'icmp type echo-reply ip saddr set 192.0.2.3');
  t.is(ping(Ip.parse(ADDRESS), 3_000), undefined);
});
