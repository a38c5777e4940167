import { findChromium } from '../test/support/browser.ts'
import { obtainProgram } from './optional-package.ts'

/** The Chromium that tests drive: the one named by TEST_CHROMIUM, else found in PATH, else got. */
export const obtainBrowser = (): Promise<string | null> =>
  obtainProgram({
    name: 'Chromium',
    find: findChromium,
    debianPackage: 'chromium',
    otherwise:
      'tests in a browser are left out. Install Chromium (Debian: apt-get install chromium; ' +
      'macOS: brew install chromium), or set TEST_CHROMIUM to a Chromium or Chrome.',
  })
