export { type MortalWorld, mortalWorld } from './mortal-world.ts'
export { freePorts } from './ports.ts'
export { createTestCluster, type TestCluster, type TestClusterOptions } from './test-cluster.ts'
