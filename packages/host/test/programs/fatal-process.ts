// A process whose node ends itself.
import { productionWorld } from '../../src/index.ts'

productionWorld().fatal('store-failed', new Error('gone'))
