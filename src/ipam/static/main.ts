/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { staticIpam } from './plugin.ts';

execute(staticIpam);
