/** ipvlan while calls fail. */
import { becomeHost } from '../../support/host.ts';
import { ipam, linkFaults, net } from './contract.ts';

becomeHost();

linkFaults({ needs: 'ipvlan', conf: { ...net, type: 'ipvlan', master: 'm0', mode: 'l3', ipam }, sent: [5, 2] });
