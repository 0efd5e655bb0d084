/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { firewall } from './plugin.ts';

execute(firewall);
