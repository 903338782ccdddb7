/** Goes with SECURITY_DISABLED wherever access rights are asked for, as Kafka answers without an authorizer. */
export const NO_AUTHORIZER = 'there is no authorizer: whoever reaches a listener may do everything'
