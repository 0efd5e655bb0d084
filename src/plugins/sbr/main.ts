/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { sbr } from './plugin.ts';

execute(sbr);
