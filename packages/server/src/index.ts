export { openDirectories, type FormattedDirectory, type LockFolder } from './directories.ts'
export { readNodeConfig, type NodeConfig, type ReadConfig } from './node-config.ts'
export { parseProperties, type ConfigProblem, type Property } from './properties.ts'
export { type Node, startNode, type StartOptions } from './node.ts'
