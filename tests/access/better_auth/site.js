// A site whose users sign up and in with Better Auth, and get tokens from it.
//
//   node site.js PORT DATABASE
//
// Prints `ready` once it serves http://127.0.0.1:PORT.
import { createServer } from 'node:http'
import { DatabaseSync } from 'node:sqlite'

import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'

const [port, database] = process.argv.slice(2)

const options = {
  baseURL: `http://127.0.0.1:${port}`,
  secret: 'only for the tests of stemserve, not a secret',
  database: new DatabaseSync(database),
  emailAndPassword: { enabled: true },
  plugins: [jwt({ jwks: { rotationInterval: 3600, gracePeriod: 3600 } })]
}

const { runMigrations } = await getMigrations(options)
await runMigrations()
createServer(toNodeHandler(betterAuth(options))).listen(port, '127.0.0.1', () => {
  console.log('ready')
})
