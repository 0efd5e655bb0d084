/** vrf while calls fail. */
import { becomeHost } from '../../support/host.ts';
import { bridgeConf } from '../../support/lab.ts';
import { ipam, linkFaults, net } from './contract.ts';

becomeHost();

/** Without routes from IPAM: DEL of vrf leaves those to the plugins before it, whose DEL comes next. */
const bridge = bridgeConf({ ipam, isDefaultGateway: false, isGateway: true });

linkFaults({ needs: 'vrf', conf: { ...net, type: 'vrf', vrfname: 'blue' }, after: bridge, sent: [5, 2] });
