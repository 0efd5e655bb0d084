/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { policy } from './plugin.ts';

execute(policy);
