/** The program of this type: src/main.ts. */
import { execute } from '../../cni/execute.ts';
import { hostLocal } from './plugin.ts';

execute(hostLocal);
