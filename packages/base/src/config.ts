/** The types that Kafka's DescribeConfigs knows. */
export type ConfigType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list' | 'class' | 'password'

/**
 * One configuration key. The one declaration gives type, default, validation, documentation, DescribeConfigs and the reading of
 * server.properties. Names are Kafka's wherever Kafka has the key.
 */
export interface ConfigKey {
  readonly name: string
  readonly type: ConfigType
  /** In text form, as a properties file has it; null where there is no value by default. */
  readonly default: string | null
  readonly documentation: string
  /** `topic`, `group`: a topic's or a group's own. `broker`: of server.properties. */
  readonly scope: 'topic' | 'broker' | 'group'
  /** `none`: known to Kafka, accepted, without effect here. */
  readonly effect: 'yes' | 'none'
  /** May be changed while the broker runs. */
  readonly dynamic: boolean
  /** For topic and group keys: broker keys that supply the default, nearest first, e.g. `log.retention.ms`, `log.retention.minutes`. */
  readonly brokerKeys: readonly BrokerDefault[]
  /** Null when the text is a value of this key, else what is wrong and what would be right. */
  problem(text: string): string | null
}

export interface BrokerDefault {
  readonly name: string
  /** The broker's value times this is the topic's value (hours to milliseconds). */
  readonly factor: number
}
