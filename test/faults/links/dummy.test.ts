/** dummy while calls fail. */
import { becomeHost } from '../../support/host.ts';
import { ipam, linkFaults, net } from './contract.ts';

becomeHost();

linkFaults({ needs: 'dummy', conf: { ...net, type: 'dummy', ipam }, sent: [5, 2] });
