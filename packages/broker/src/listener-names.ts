/** The listener name under which a broker registers its inter-node address. */
export const PEER_LISTENER = 'PEER'
/** The one for its HTTP endpoint. */
export const HTTP_LISTENER = 'HTTP'
