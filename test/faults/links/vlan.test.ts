/** vlan while calls fail. */
import { becomeHost } from '../../support/host.ts';
import { ipam, linkFaults, net } from './contract.ts';

becomeHost();

linkFaults({ needs: 'vlan', conf: { ...net, type: 'vlan', master: 'm0', vlanId: 5, ipam }, sent: [5, 2] });
