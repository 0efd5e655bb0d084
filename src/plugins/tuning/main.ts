/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { tuning } from './plugin.ts';

execute(tuning);
