/** `netloom explain` for networks on links that not every kernel has: the script makes the same as the plugins. */
import { needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import { makesTheSame } from './scripted.ts';

becomeHost();

const LAN = ['-o', 'parent=up0', '--subnet', '192.168.62.0/24', '--ip-range', '192.168.62.64/26'];

needs('ipvlan')('the script of ipvlan makes what the plugins have made', async (t) => {
  const { script } = await makesTheSame(t, ['-d', 'ipvlan', '-o', 'ipvlan_mode=l3', ...LAN], []);
  t.regex(script, /^ip link add .* type ipvlan mode l3/m);
});

needs('vlan')('the script of vlan makes what the plugins have made', async (t) => {
  const { script } = await makesTheSame(t, ['-d', 'vlan', '-o', 'vlan=7', ...LAN], []);
  t.regex(script, /^ip link add .* type vlan .*id 7/m);
});
