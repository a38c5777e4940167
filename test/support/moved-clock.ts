import { readFileSync } from 'node:fs'

/**
 * Loaded into a process of its own before its code (`NODE_OPTIONS=--import`): its clock runs ahead
 * of the wall's by as many milliseconds as the file says at that moment.
 */
const file = process.env.TEST_CLOCK_FILE
if (file !== undefined) {
  const wall = Date.now.bind(Date)
  Date.now = () => wall() + Number(readFileSync(file, 'utf8'))
}
