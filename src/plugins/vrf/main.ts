/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { vrf } from './plugin.ts';

execute(vrf);
