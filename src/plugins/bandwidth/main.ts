/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { bandwidth } from './plugin.ts';

execute(bandwidth);
