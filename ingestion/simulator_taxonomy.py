"""What the simulated shop sells: domains, their topics, and the words that people use for them.

Each topic lists its products in the order in which an enthusiast comes to need them, what they are for, and what is
said of them. The words of a topic are its own, so that text alone tells related things from unrelated ones.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A shelf of the shop."""

    domain: str
    name: str
    products: tuple[str, ...]
    uses: tuple[str, ...]
    features: tuple[str, ...]


@dataclass(frozen=True)
class Style:
    """A way in which any product can be made, and what people who like it care about."""

    name: str
    adjectives: tuple[str, ...]
    promises: tuple[str, ...]
    price_factor: float


_TOPICS = """
# Camping
Tents | two-person tent; tarp shelter; bivouac bag; tent footprint; guy line set; storm peg kit
  for stormy nights above the tree line; weekend trips by the lake; pitching in the dark; solo bikepacking tours
  with taped seams; colour-coded poles; a wide vestibule; a waterproof fly sheet; mesh panels against midges
Sleeping outdoors | sleeping mat; down sleeping bag; camp pillow; hammock; bag liner; quilt
  for cold nights in autumn; side sleepers in the woods; summer hut tours; sleeping under the stars
  with hydrophobic down; a draught collar; a snug foot box; quiet insulation; a two-way zip
Camp kitchen | gas stove; titanium pot; spork set; water filter; dehydrated dinner; coffee press mug
  for boiling water at altitude; one-pot dinners; refilling at mountain streams; a hot breakfast in the rain
  with a piezo igniter; folding handles; measuring marks; a wind shield; a simmer valve
Hiking | trekking poles; rain jacket; merino base layer; hiking boots; gaiters; thirty-litre backpack
  for long ridge walks; muddy forest paths; hut-to-hut tours; crossing scree and snow
  with a breathable membrane; cork grips; an ankle-hugging cuff; hip-belt pockets; deep lugs
Navigation and light | headlamp; baseplate compass; topographic map; gps watch; camp lantern; emergency beacon
  for finding the trail in fog; night hikes; reading in the tent; remote valleys without signal
  with a red night mode; declination adjustment; rechargeable cells; contour lines; a sighting mirror
# Cycling
Road bikes | carbon road bike; clip-in pedals; aero handlebar; power meter; race wheelset; bib shorts
  for fast group rides; alpine passes; a first criterium; century rides on smooth tarmac
  with electronic shifting; a stiff bottom bracket; tubeless rims; internal cabling; a watt-true sensor
Mountain bikes | trail hardtail; full-face helmet; dropper post; knee pads; tubeless tyre; suspension fork
  for rooty singletrack; bike parks; steep rocky descents; jumps and berms
  with a slack head angle; sticky rubber; adjustable rebound; air damping; d3o armour
City cycling | folding bike; pannier bag; u-lock; mudguard set; bell; child seat
  for the daily commute; grocery runs; rainy school mornings; trains with little room
  with a hub dynamo; reflective piping; a puncture-proof belt; a belt drive; a step-through frame
Bike workshop | repair stand; chain tool; torque wrench; brake bleed kit; cable cutter; spoke key
  for truing wheels at home; the yearly overhaul; roadside repairs; bleeding hydraulic brakes
  with hardened jaws; a click at five newton metres; magnetic trays; a rubberised clamp; colour-coded hex keys
E-bikes | commuter e-bike; spare battery; cargo e-bike; charging dock; motor cover; display mount
  for hills with a full load; replacing the second car; long commutes without sweat; ferrying two kids
  with a quiet mid-drive motor; walk assist; torque sensing; a removable battery; regenerative braking
# Coffee and tea
Espresso | espresso machine; burr grinder; tamper; milk pitcher; knock box; descaling kit
  for a ristretto before work; silky latte art; dialling in a new roast; a corner of the kitchen counter
  with pressure profiling; a dual boiler; conical burrs; a calibrated spring; a bottomless portafilter
Filter coffee | pour-over dripper; gooseneck kettle; paper filters; coffee scale; glass carafe; hand grinder
  for bright light roasts; slow sunday mornings; brewing for two; tasting notes of citrus and jasmine
  with spiral ribs; a precise pour; a built-in timer; double-walled glass; bloom-friendly flow
Coffee beans | single-origin beans; espresso blend; decaf beans; green beans; cold brew bags; sampler box
  for fruity filter brews; a chocolatey espresso; late evenings; roasting at home
  with notes of blackcurrant; washed processing; a roast date on the bag; direct trade; a natural fermentation
Loose tea | oolong tea; first-flush darjeeling; sencha; smoked lapsang; white tea; tea sampler
  for gong fu sessions; a calm afternoon; several short infusions; guests who know their leaves
  with whole rolled leaves; a floral liquor; grassy sweetness; malty depth; spring harvest
Tea ware | cast-iron teapot; gaiwan; matcha whisk; tea tray; clay yixing pot; porcelain cups
  for whisking a frothy bowl; pouring without drips; quiet ceremonies; keeping leaves in motion
  with a hand-thrown glaze; a bamboo chasen; a fine strainer; unglazed zisha clay; a draining slat
# Gardening
Vegetable beds | raised bed kit; seed starter tray; compost bin; tomato cage; drip hose; harvest basket
  for growing salad on a balcony; a first kitchen garden; saving water in august; heavy tomato crops
  with untreated larch; self-watering wicks; slug barriers; worm-friendly vents; adjustable emitters
Roses and perennials | climbing rose; peony root; lavender plant; bulb planter; rose fertiliser; trellis
  for a scented front garden; bees and butterflies; a border that flowers till frost; shady corners
  with double blooms; disease-resistant leaves; a bare root; long-lasting fragrance; winter hardiness
Garden tools | bypass secateurs; digging fork; hori hori knife; pruning saw; wheelbarrow; kneeling pad
  for clean cuts on green wood; heavy clay; dividing perennials; winter pruning of fruit trees
  with forged steel; ash handles; a rust-free blade; a sap groove; replaceable springs
House plants | monstera plant; ceramic planter; grow lamp; misting bottle; orchid bark; moss pole
  for a bright living room; north-facing windows; fussy tropical leaves; propagating cuttings
  with aerial roots; drainage holes; full-spectrum diodes; fenestrated foliage; airy substrate
Garden wildlife | nesting box; insect hotel; bird bath; hedgehog house; wildflower seeds; bat box
  for blue tits in spring; solitary bees; watching goldfinches at breakfast; a corner left wild
  with a predator guard; hollow reeds; native species; a rain-proof roof; a removable floor
# Baking
Bread | sourdough starter; proofing basket; bread lame; dutch oven; dough scraper; rye flour
  for an open crumb; an overnight rise; a crackling crust; learning to score a loaf
  with wild yeast; a linen liner; a curved blade; stone-milled grain; steady heat
Cakes | springform tin; stand mixer; piping nozzles; cake turntable; fondant set; cake stand
  for birthday layers; smooth buttercream; wedding tiers; sponge that rises evenly
  with a leak-proof base; planetary mixing; a non-slip pivot; star tips; a loose bottom
Chocolate and sweets | tempering thermometer; praline mould; couverture drops; marble slab; dipping forks; caramel pan
  for glossy bonbons; filled pralines; hand-made truffles; soft salted caramel
  with polycarbonate cavities; a crisp snap; seventy percent cocoa; a sugar scale; a copper core
Pizza | pizza oven; pizza peel; baking steel; tipo 00 flour; dough boxes; infrared thermometer
  for blistered neapolitan crust; friday nights outside; ninety-second bakes; launching without sticking
  with a wood-fired chamber; perforated aluminium; high gluten; a rotating stone; stackable lids
Cookies and pastry | silicone baking mat; cookie cutters; rolling pin; tart ring; pastry brush; madeleine pan
  for flaky croissants; advent biscuits; buttery shortcrust; baking with the grandchildren
  with thickness rings; perforated rims; a non-stick weave; sharp edges; natural bristles
# Photography
Cameras | mirrorless camera; compact camera; camera strap; spare camera battery; memory card; cage
  for street scenes; family holidays; low light concerts; silent shooting in a theatre
  with in-body stabilisation; a tilting screen; eye autofocus; dual card slots; a weather-sealed body
Lenses | portrait lens; wide-angle lens; macro lens; telephoto zoom; lens hood; polarising filter
  for creamy backgrounds; sweeping landscapes; dew on a dragonfly; birds in flight
  with a bright aperture; nano coating; a focus limiter; low dispersion glass; rounded blades
Film photography | analogue camera; black-and-white film; developing tank; light meter; darkroom paper; negative scanner
  for grainy portraits; souping rolls in the bathroom; slowing down; printing under red light
  with a mechanical shutter; fine silver grain; spiral reels; a selenium cell; fibre base
Tripods and support | carbon tripod; ball head; gimbal; monopod; quick release plate; beanbag
  for long exposures at dusk; smooth walking shots; panoramas; steep riverbanks
  with twist locks; a friction dial; a three-axis motor; spiked feet; an arca plate
Studio light | softbox; studio flash; reflector; backdrop; led panel; flash trigger
  for flattering headshots; product photos on white; freezing splashes; video interviews
  with a high colour rendering index; bowens mount; five-in-one fabric; wireless sync; barn doors
# Home audio
Headphones | open-back headphones; noise-cancelling headset; in-ear monitors; headphone amp; ear pads; cable
  for late-night listening; noisy open offices; mixing on the road; critical jazz sessions
  with planar drivers; a wide soundstage; balanced output; memory foam; adaptive silence
Vinyl | turntable; phono cartridge; record brush; phono preamp; record shelf; stylus scale
  for crackling first pressings; weekly record-fair finds; a ritual after dinner; spinning old soul singles
  with a carbon tonearm; an elliptical stylus; a decoupled motor; riaa equalisation; anti-static fibre
Speakers | bookshelf speakers; subwoofer; speaker stands; banana plugs; soundbar; acoustic panel
  for a small listening room; film nights with rumble; honest midrange; taming echoes
  with a silk dome tweeter; a ported cabinet; a room-correction mic; gold contacts; mineral wool
Synthesizers | analogue synthesizer; drum machine; midi keyboard; patch cables; sequencer; effects pedal
  for fat bass lines; bedroom techno; modular noodling; ambient pads
  with a ladder filter; sixteen steps; aftertouch; control voltage; tape-style delay
Radio | dab radio; shortwave receiver; internet radio; long wire antenna; alarm radio; ham transceiver
  for distant stations at night; waking up to the news; the kitchen windowsill; a contest weekend
  with single sideband; presets; a telescopic aerial; a snooze button; a waterfall display
# Board games
Strategy games | worker placement game; civilisation game; card sleeves; game insert; economic game; expansion set
  for long saturday evenings; planners and optimisers; four hours of tense trading; rematches
  with variable setup; a tech tree; engine building; wooden meeples; asymmetric factions
Family games | tile-laying game; dexterity game; picture-clue game; dice game; memory game; travel game set
  for rainy afternoons; three generations at one table; holidays at the sea; first rules at six
  with rules in five minutes; bright illustrations; no reading needed; quick rounds; chunky pieces
Cooperative games | dungeon crawler; pandemic game; escape box; mystery case; legacy campaign; storybook game
  for teams that win or lose together; solving a murder; one unforgettable evening; saving the world in time
  with sealed envelopes; hidden clues; branching chapters; character sheets; an app-driven story
Miniatures | painted army set; hobby brushes; miniature paints; wargame rulebook; terrain kit; display case
  for skirmish battles; zenithal highlighting; tournament lists; evenings at the hobby bench
  with sharp sculpted detail; contrast pigments; magnetised bases; modular ruins; a wet palette
Puzzles | thousand-piece puzzle; wooden brain teaser; sudoku book; puzzle mat; speed cube; crossword collection
  for quiet winter evenings; stubborn minds; train journeys; finger tricks under ten seconds
  with a linen finish; laser-cut pieces; magnetic layers; graded difficulty; a roll-up felt
# Textile crafts
Knitting | merino yarn; circular needles; stitch markers; sock pattern; yarn bowl; blocking mat
  for a first scarf; colourwork jumpers; turning heels; knitting on the sofa
  with hand-dyed skeins; a smooth cable join; superwash wool; lace tips; a plump twist
Sewing | sewing machine; rotary cutter; dress pattern; thread set; fabric shears; overlocker
  for hemming jeans; a summer wardrobe; straight quilting seams; finishing raw edges
  with an automatic buttonhole; a walking foot; self-healing grids; tailored darts; differential feed
Embroidery | embroidery hoop; stranded cotton; cross-stitch kit; linen cloth; needle case; transfer pencil
  for botanical motifs; mending with visible stitches; samplers; monograms on napkins
  with french knots; counted weave; satin stitch; beech rings; colourfast floss
Weaving and spinning | tapestry loom; spinning wheel; drop spindle; carded fleece; weaving shuttle; rigid heddle
  for wall hangings; drafting fine singles; rag rugs; raw wool from the farm
  with a double treadle; warping pegs; long staple; a flyer and bobbins; a beater bar
Leather craft | stitching awl; vegetable-tanned hide; edge beveller; brass rivets; saddle thread; mallet
  for a hand-sewn wallet; belts that last decades; tooling patterns; watch straps
  with waxed linen; burnished edges; a diamond point; full grain; solid hardware
# Woodworking
Hand tools | block plane; dovetail saw; marking gauge; bench chisel; spokeshave; cabinet scraper
  for whisper-thin shavings; tight hand-cut joints; curved chair legs; paring to a line
  with an a2 steel iron; a brass back; hornbeam handles; fifteen teeth per inch; an adjustable mouth
Power tools | track saw; plunge router; random orbit sander; cordless drill; dust extractor; domino joiner
  for sheet goods; dust-free renovation; floating tenons; flush-trimmed edges
  with a brushless motor; an anti-kickback cam; a hepa cartridge; soft start; a zero-play rail
Turning and carving | mini lathe; bowl gouge; spoon knife; carving mallet; chuck jaws; burnishing wax
  for salad bowls from green ash; whittling by the fire; pens and bottle stoppers; relief panels
  with variable speed; a flute grind; a hooked blade; four scroll jaws; food-safe carnauba
Finishing wood | hard wax oil; shellac flakes; foam brushes; sanding mesh; wood stain; polishing cloth
  for table tops that shrug off wine; french polish; bringing out the grain; bleached oak
  with low solvents; a satin sheen; quick drying; even pores; reactive tannins
Timber and plans | walnut board; workbench plan; plywood sheet; dowel set; chair plan; veneer pack
  for a heirloom bench; book-matched panels; a weekend shelf; kumiko screens
  with kiln-dried stock; cut lists; bookmatched figure; void-free birch; exploded drawings
# Running and fitness
Road running | cushioned running shoes; running socks; hydration belt; split shorts; heart-rate strap; energy gels
  for a first marathon; tempo intervals; recovery days; city half marathons
  with a carbon plate; responsive foam; a rocker sole; blister-free toes; slow-release carbs
Trail running | trail shoes; running vest; soft flasks; folding poles; windproof shell; mud claws
  for ultra distances; technical fell races; vertical kilometres; aid-station to aid-station
  with a rock plate; five-millimetre lugs; bounce-free pockets; ripstop; a drainage mesh
Strength training | kettlebell; adjustable dumbbells; barbell set; weight bench; lifting belt; chalk block
  for heavy squats; garage gyms; swings and snatches; progressive overload
  with knurled grips; bumper plates; a quick-turn dial; a powder coat; safety catches
Yoga | yoga mat; cork block; meditation cushion; stretching strap; bolster; yoga wheel
  for a morning flow; tight hamstrings; breathing exercises; restorative evenings
  with a sticky surface; buckwheat filling; natural rubber; alignment marks; a washable cover
Swimming | swim goggles; training fins; pull buoy; open-water wetsuit; swim cap; tow float
  for lane sessions at dawn; cold lakes; triathlon starts; drills for a better catch
  with anti-fog lenses; smooth-skin neoprene; a hydrodynamic hull; soft silicone; bright visibility
# Painting and drawing
Watercolour | watercolour pans; cold-press paper; sable brush; masking fluid; travel palette; water brush
  for loose landscapes; urban sketching; botanical studies; wet-in-wet skies
  with lightfast pigment; cotton fibres; a fine point; granulating blues; gummed edges
Oil and acrylic | oil paint set; stretched canvas; palette knife; studio easel; gesso; acrylic inks
  for thick impasto; glazing like the masters; large abstracts; plein air afternoons
  with a buttery texture; gallery depth; high viscosity; a slow open time; bristle-proof tooth
Drawing | graphite pencils; charcoal sticks; sketchbook; kneaded eraser; drawing pens; coloured pencils
  for life drawing; cross-hatching; tonal portraits; comics and storyboards
  with twelve grades; soft vine; toned paper; archival ink; a break-resistant core
Printmaking | linocut set; relief ink; printing press; etching needle; brayer; japanese paper
  for hand-pulled cards; carved posters; fine bitten lines; small editions
  with sharp gouges; an even nip; oil-based black; kozo fibres; a bevelled plate
Pottery | pottery wheel; stoneware clay; trimming tools; glaze set; banding wheel; mini kiln
  for throwing mugs; pinch pots; crackled celadon; raku firings
  with a reversible motor; grogged body; a food-safe surface; cone ten heat; loop blades
# Astronomy and science
Telescopes | dobsonian telescope; star diagonal; eyepiece set; red dot finder; equatorial mount; dew shield
  for saturn's rings; faint galaxies from a dark site; a first look at the moon; splitting double stars
  with a parabolic mirror; a wide apparent field; a slow-motion drive; fully multi-coated optics; collimation screws
Astrophotography | star tracker; cooled camera; narrowband filter; guide scope; flat-field panel; autofocus motor
  for hour-long nebula exposures; the milky way core; stacking subs; cities with bright skies
  with low read noise; three nanometre bandpass; backlash-free gears; hydrogen-alpha contrast; pixel-scale guiding
Microscopes | stereo microscope; biological microscope; prepared slides; eyepiece camera; staining kit; cover slips
  for pond life; inspecting solder joints; school biology; crystals in polarised light
  with a halogen condenser; oil immersion; parfocal zoom; an x-y stage; a trinocular head
Electronics | soldering station; microcontroller board; oscilloscope; breadboard kit; sensor pack; bench supply
  for blinking first projects; debugging serial buses; a weather station; repairing old amplifiers
  with fast heat recovery; a hundred megahertz; solderless sockets; i2c headers; current limiting
Rocks and weather | rock tumbler; geology hammer; weather station; mineral set; rain gauge; barometer
  for polishing agates; fossil hunts at the coast; logging storms; reading the pressure
  with a rubber barrel; a pick tip; a wireless anemometer; labelled specimens; a brass aneroid
# Pets
Dogs | dog harness; orthopaedic dog bed; chew toy; treat pouch; tracking leash; grain-free kibble
  for puppies that pull; senior hips; recall training; wet walks in november
  with a front clip; memory foam bolsters; natural rubber; a magnetic closure; salmon protein
Cats | scratching post; cat tree; puzzle feeder; clumping litter; catnip mouse; cat carrier
  for indoor hunters; window watchers; lazy loaf poses; stress-free vet visits
  with sisal rope; a top platform; silent flaps; odour-binding clay; a fleece cave
Aquariums | nano aquarium; canister filter; aquarium plants; led aquarium light; test strips; driftwood
  for a planted shrimp tank; neon tetras; low-tech aquascapes; keeping nitrate down
  with bio-media; a lily pipe; iron-rich substrate; tannin-stained water; a quiet impeller
Birds | parrot perch; flight cage; millet spray; foraging toy; cuttlebone; bird scale
  for curious budgies; beaks that need work; talkative cockatiels; moulting season
  with natural branches; a seed catcher; bell ornaments; bite-safe dye; double doors
Reptiles | terrarium; heat lamp; reptile hide; digital thermostat; calcium powder; coconut substrate
  for bearded dragons; humid jungle setups; shy geckos; a proper basking spot
  with front ventilation; uvb output; a pulse mode; moisture-holding fibre; a resin cave
"""

STYLES = (
    Style(
        "beginner",
        ("starter", "easy", "friendly"),
        ("made for first steps, with a clear guide", "forgiving of mistakes while you learn"),
        0.7,
    ),
    Style(
        "professional",
        ("pro", "studio-grade", "expert"),
        ("built for daily professional use", "precise enough for demanding experts"),
        1.9,
    ),
    Style(
        "compact",
        ("compact", "pocket", "travel"),
        ("folds away small and weighs next to nothing", "slips into hand luggage"),
        1.0,
    ),
    Style(
        "vintage",
        ("vintage", "classic", "heritage"),
        ("a faithful revival of an old favourite", "nostalgic looks and patina"),
        1.2,
    ),
    Style(
        "sustainable",
        ("recycled", "organic", "plastic-free"),
        ("made from renewable materials, repairable for years", "climate-neutral and fairly made"),
        1.1,
    ),
    Style(
        "luxury",
        ("handmade", "signature", "deluxe"),
        ("numbered, hand-finished, in a gift box", "indulgent materials down to the last detail"),
        3.0,
    ),
    Style("children", ("junior", "kids'", "little"), ("safe for small hands", "sized for children from six"), 0.6),
    Style(
        "smart",
        ("smart", "connected", "app-guided"),
        ("talks to your phone and updates itself", "tracks progress in an app"),
        1.6,
    ),
)

BRANDS = (
    "Alder & Finch", "Bramble", "Corvid", "Dunmore", "Eastmoor", "Fennel & Co", "Gullwing", "Hawthorn",
    "Inverlay", "Juniper Row", "Kestrel", "Larkspur", "Marlow", "Northing", "Oakhurst", "Pebble",
    "Quill", "Rowan", "Saltmarsh", "Tamarack", "Umber", "Vesper", "Wren", "Yarrow",
)  # fmt: skip

COLOURS = ("forest green", "slate grey", "rust red", "cream", "midnight blue", "black", "mustard", "natural")


def topics() -> tuple[Topic, ...]:
    """All topics, domain after domain."""
    found: list[Topic] = []
    domain = ""
    lines = iter(_TOPICS.strip().splitlines())
    for line in lines:
        if line.startswith("# "):
            domain = line[2:]
            continue
        name, products = line.split(" | ")
        uses, features = next(lines).strip().removeprefix("for "), next(lines).strip().removeprefix("with ")
        found.append(Topic(domain, name, _words(products), _words(uses), _words(features)))
    return tuple(found)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split("; "))
