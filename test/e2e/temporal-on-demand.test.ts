import { expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { RateLimit, RateLimiterService } from 'nestjs-limits';
import { isTemporalLoaded } from '../../lib/common/temporal.js';
import { RoutePolicies } from '../../lib/nest/routes/route-policies.js';
import { limited, startHttpApp } from '../support/http-app.js';

@Controller()
class PagesController {
  @Get()
  @RateLimit('5/month')
  page() {
    return '';
  }
}

class LateController {
  @RateLimit('5/month', { strategy: 'calendar-window' })
  late() {
    return '';
  }
}

const hasTemporal = 'Temporal' in globalThis;
const reason = hasTemporal ? ' (skipped: this engine has Temporal)' : '';

(hasTemporal ? it.skip : it)(
  `Temporal is loaded only where a policy needs it, also by one that comes late${reason}`,
  async () => {
    const app = await startHttpApp('express', limited([PagesController]));
    try {
      expect((await app.get('/')).status).toBe(200);
      const limiter = app.nest.get(RateLimiterService);
      const rule = { id: 'all', path: '/**', limits: '1/month' };
      expect(limiter.setRules([rule])).toBeUndefined();
      expect(isTemporalLoaded()).toBe(false);

      const late = app.nest.get(RoutePolicies).find(LateController, LateController.prototype.late);
      const replaced = limiter.setRules([{ ...rule, strategy: 'calendar-window' }]);
      expect([late, replaced]).toEqual([expect.any(Promise), expect.any(Promise)]);
      expect(limiter.rules()).toEqual([rule]);
      expect((await late).policies.map(({ limits }) => limits[0]?.calendar?.unit)).toEqual(['month']);
      await replaced;
      expect((await app.get('/')).remaining).toContain('"all";r=0');
    } finally {
      await app.close();
    }
  },
);
