/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { portmapPlugin } from './plugin.ts';

execute(portmapPlugin);
