/** The mark of ownership: what it contains, and that no two owners share one. */
import test from 'ava';
import fc from 'fast-check';
import {
  aliasOf,
  commentOf,
  hostLinkName,
  isAliasOfNetwork,
  isCommentOfNetwork,
  isOurAlias,
} from '../../src/attach/owner.ts';

/** Names of networks and ids of containers that the specification allows. */
const name = (maxLength: number) => fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, { maxLength });
const owner = fc.tuple(
  fc.oneof(name(60), name(400)),
  name(400),
  fc.stringMatching(/^[a-z][a-z0-9]*$/, { maxLength: 15 }),
);

test('the marks of an owner fit, belong to its network and to no other', (t) => {
  fc.assert(
    fc.property(owner, name(400), ([network, container, ifname], other) => {
      const text = `${network}/${container}/${ifname}`;
      const [alias, comment] = [aliasOf(text), commentOf(text)];
      t.true(alias.length <= 255 && comment.length <= 127);
      t.true(isOurAlias(alias) && isAliasOfNetwork(alias, network) && isCommentOfNetwork(comment, network));
      if (other === network) return;
      t.false(isAliasOfNetwork(alias, other));
      t.false(isCommentOfNetwork(comment, other));
    }),
  );
});

test('two owners have different marks and different links', (t) => {
  fc.assert(
    fc.property(owner, owner, (one, two) => {
      const [a, b] = [one.join('/'), two.join('/')];
      fc.pre(a !== b);
      t.not(aliasOf(a), aliasOf(b));
      t.not(commentOf(a), commentOf(b));
      t.not(hostLinkName('veth', a), hostLinkName('veth', b));
    }),
  );
});

test('the name of a link follows from its owner, and the kernel takes it', (t) => {
  fc.assert(
    fc.property(owner, (parts) => {
      const text = parts.join('/');
      t.regex(hostLinkName('veth', text), /^veth[0-9a-f]{11}$/);
      t.is(hostLinkName('veth', text), hostLinkName('veth', text));
    }),
  );
});

test('a link without a mark, or with one of somebody else, is nobody of ours', (t) => {
  for (const alias of [undefined, '', 'net/c1/eth0', 'uplink']) {
    t.false(isOurAlias(alias));
    t.false(isAliasOfNetwork(alias, 'net'));
  }
});
