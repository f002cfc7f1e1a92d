import test from 'node:test';
import { withoutMouse } from './keyboard.mjs';
import { play } from './play.mjs';

test('the main job by keyboard alone, on the practice cluster', () => play({ driver: 'chromium', on: 'practice', through: withoutMouse }));
