"""Which units of measure fit a medium."""

from shared.models import Medium, UnitOfMeasure

ENERGY = (UnitOfMeasure.KWH, UnitOfMeasure.WH, UnitOfMeasure.MWH, UnitOfMeasure.GJ)
VOLUME = (UnitOfMeasure.CUBIC_METRE, UnitOfMeasure.LITRE)

FITTING: dict[Medium, tuple[UnitOfMeasure, ...]] = {
    Medium.HEAT: ENERGY,
    Medium.COOLING: ENERGY,
    Medium.COLD_WATER: VOLUME,
    Medium.WARM_WATER: VOLUME,
    Medium.WATER: VOLUME,
    Medium.ELECTRICITY: (UnitOfMeasure.KWH, UnitOfMeasure.WH, UnitOfMeasure.MWH),
    # Gas is metered as volume and by some meters converted to energy.
    Medium.GAS: (*VOLUME, UnitOfMeasure.KWH, UnitOfMeasure.MWH),
    Medium.HEAT_COST_ALLOCATOR: (UnitOfMeasure.HCA,),
}
