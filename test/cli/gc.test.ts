/**
 * `netloom gc` beside runtimes that do not keep results as libcni does: it does not take their attachments for
 * abandoned.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';

becomeHost();

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  netloom.run('network', 'create', '--subnet', '10.91.0.0/24', 'web');
  const conflist = join(lab.root, 'etc/cni/net.d/web.conflist');
  const { cniVersion, name, plugins } = JSON.parse(readFileSync(conflist, 'utf8')) as Json & { plugins: Json[] };
  return { lab, netloom, conflist, conf: { cniVersion, name, ...plugins[0] } as Json };
}

test.serial(
  'a network with an attachment that the results lack is passed over, until it is named or the namespace is gone',
  (t) => {
    const { lab, netloom, conf } = start(t);
    const results = join(lab.root, 'var/lib/cni/results');
    const passedOver = `network web: passed over, "eth0" of "foreign" is in use, and "${results}" has no result of it; "netloom gc web" collects it all the same\n`;
    const own = lab.sandbox('own');
    netloom.run('connect', 'web', `netns:${own.path}`);
    const before = lab.snapshot();
    const foreign = lab.sandbox('foreign');
    lab.add(conf, { sandbox: foreign });
    const after = lab.snapshot();
    t.is(netloom.run('gc'), passedOver);
    t.is(lab.snapshot(), after);
    t.true(foreign.reaches('10.91.0.1'));
    t.is(netloom.run('gc', 'web'), '');
    t.is(lab.snapshot(), before);
    t.true(own.reaches('10.91.0.1'));

    lab.add(conf, { sandbox: foreign });
    t.is(netloom.run('gc'), passedOver);
    foreign[Symbol.dispose]();
    t.is(netloom.run('gc'), '');
    t.is(lab.snapshot(), before);
    t.regex(netloom.try('gc', 'nope').stderr, /There is no network "nope"/);
  },
);

test.serial("a network of another's plugins is passed over where the results have nothing of it", (t) => {
  const { lab, netloom, conflist } = start(t);
  writeFileSync(
    conflist.replace('web', 'theirs'),
    JSON.stringify({ cniVersion: '1.1.0', name: 'theirs', plugins: [{ type: 'someones' }] }),
  );
  const said = netloom.json<Json[]>('gc').map(({ what, did, why }) => [what, did, why]);
  t.deepEqual(said, [
    [
      'network theirs',
      'passed over',
      `"someones" is none of netloom's plugins, and "${lab.root}/var/lib/cni/results" has no result of the network; "netloom gc theirs" collects it all the same`,
    ],
    ['network web', 'collected', undefined],
  ]);
});
