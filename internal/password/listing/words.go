package main

import "strings"

// The words below were put together by hand: what comes to the mind of a person who is asked for a password.

func words() []string {
	return strings.Fields(`
password passwort passwd passe motdepasse mdp secret secrets geheim private access acces login logon signin welcome
bienvenue willkommen bonjour hello hallo hola salut goodbye aurevoir admin administrator administrateur root user guest
test tester testing test demo sample example default changeme change temp temporary letmein openup opensesame sesame
trustno trustme nopassword mypassword newpassword oldpassword yourpassword thepassword passphrase passcode pincode
security secure safe safety server service system computer laptop keyboard mouse monitor internet network wireless wifi
google facebook twitter instagram youtube amazon apple iphone samsung android microsoft windows linux ubuntu oracle
netflix spotify whatsapp linkedin paypal yahoo gmail hotmail outlook office excel database
love lover loveme loveyou iloveyou iloveu ihateyou fuckyou jetaime tequiero tiamo ichliebedich amour mylove truelove forever
always happy happiness smile sunshine rainbow princess prince queen king angel devil demon god jesus christ heaven hell
baby babygirl babyboy honey sweetie sweetheart sugar cookie candy chocolate vanilla cherry strawberry banana orange lemon
peach apple mango coconut pineapple melon pepper ginger cinnamon cheese butter pizza burger pasta bread coffee whisky beer
wine vodka tequila champagne water fire earth wind air storm thunder lightning snow winter spring summer autumn fall hiver
printemps ete automne january february march april may june july august september october november december janvier fevrier
mars avril mai juin juillet aout septembre octobre novembre decembre monday tuesday wednesday thursday friday saturday
sunday lundi mardi mercredi jeudi vendredi samedi dimanche morning evening night midnight today tomorrow yesterday
dragon monkey tiger lion eagle falcon hawk wolf bear panther leopard cheetah jaguar cougar shark dolphin whale horse
pony mustang bronco cobra viper python snake spider scorpion butterfly bird chicken rooster turkey duck goose swan
rabbit bunny hamster kitten kitty cat dog doggy puppy fluffy buddy lucky max bella rocky shadow smokey tigger snoopy
football soccer baseball basketball hockey tennis golf volleyball rugby cricket boxing wrestling racing runner swimmer
skater surfer skateboard snowboard fishing hunting hunter fisher archer ranger ninja samurai pirate knight wizard witch
vampire zombie ghost phantom monster giant dwarf hobbit gandalf frodo legolas aragorn skywalker vader yoda jedi chewbacca
starwars startrek spock kirk enterprise matrix neo trinity morpheus batman superman spiderman ironman hulk thor captain
wolverine joker robin catwoman pokemon pikachu charizard mario luigi zelda sonic naruto goku vegeta sasuke minecraft
fortnite roblox warcraft starcraft diablo counterstrike halo doom quake tetris pacman gamer player
arsenal chelsea liverpool manchester united everton barcelona realmadrid juventus milan inter bayern dortmund ajax
marseille paris psg lyon celtic rangers yankees redsox cubs dodgers giants cowboys steelers packers raiders eagles lakers
bulls celtics knicks heat spurs warriors london paris berlin madrid rome lisbon moscow tokyo beijing newyork chicago
boston dallas houston austin denver phoenix seattle miami orlando atlanta detroit toronto montreal quebec brussels
amsterdam geneva zurich vienna dublin sydney melbourne mexico brazil argentina canada america france germany england
scotland ireland italy spain portugal russia india china japan australia africa europe
mercedes porsche ferrari lamborghini maserati corvette camaro chevrolet chevy ford toyota honda yamaha suzuki kawasaki
harley davidson ducati nissan subaru volkswagen audi bmw volvo jaguar bentley renault peugeot citroen
guitar piano drums music musica rock metal metallica nirvana slipknot eminem beatles elvis madonna britney beyonce rihanna
shakira queen acdc pinkfloyd hiphop techno dance dancer singer artist
money dollar euro cash gold silver diamond platinum crystal emerald ruby sapphire pearl million millionaire rich bank
family father mother daddy mommy papa maman brother sister cousin uncle auntie grandma grandpa friend friends bestfriend
student teacher school college university doctor nurse lawyer police soldier army navy marine airforce pilot fireman
flower flowers rose lily daisy violet jasmine orchid tulip sunflower garden forest mountain river ocean beach island
moon star stars sun sky planet earth mars venus jupiter saturn galaxy universe cosmos space rocket shuttle comet
red blue green yellow purple pink black white brown grey gray golden rouge bleu vert jaune noir blanc
power strong strength warrior fighter winner champion master boss chief legend hero freedom liberty peace victory justice
honor glory destiny fate dream dreams hope faith spirit soul heart magic mystery wonder miracle crazy freak cool awesome
killer hacker danger poison bullet pistol shotgun sniper hammer knife sword blade shield armor
whatever nothing something anything everything nobody somebody anybody please thanks thankyou merci danke sorry
biteme asshole bitch bastard fuckoff fuckme suckit pussy bigdick sexy hottie naughty playboy booboo poohbear tinkerbell
mickey minnie donald goofy pluto simba nala bambi dumbo cinderella barbie hellokitty garfield scooby scoobydoo simpsons
homer bart southpark futurama looney bugsbunny tweety sylvester azerty qwerty qwertz
company business finance sales marketing support helpdesk backup firewall cisco router switch printer
corporate enterprise production staging development developer engineer manager director president
`)
}

func names() []string {
	return strings.Fields(`
james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony mark donald
steven paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob gary nicholas eric
jonathan stephen larry justin scott brandon benjamin samuel gregory frank alexander raymond patrick jack dennis jerry
tyler aaron jose henry adam douglas nathan peter zachary kyle walter harold jeremy carl keith roger gerald ethan arthur
terry christian sean lawrence austin joe noah jesse albert bryan billy bruce willie jordan dylan alan ralph gabriel roy
juan wayne eugene logan randy louis russell vincent philip bobby johnny bradley mary patricia jennifer linda elizabeth
barbara susan jessica sarah karen nancy lisa margaret betty sandra ashley dorothy kimberly emily donna michelle carol
amanda melissa deborah stephanie rebecca laura sharon cynthia kathleen amy shirley angela helen anna brenda pamela nicole
emma samantha katherine christine debra rachel catherine carolyn janet ruth maria heather diane virginia julie joyce
victoria olivia kelly christina lauren joan evelyn judith megan cheryl andrea hannah martha jacqueline frances gloria ann
teresa kathryn sara janice jean alice madison doris abigail julia judy grace denise amber marilyn beverly danielle
theresa sophia marie diana brittany natalie isabella charlotte rose alexis kayla pierre jacques michel philippe alain
bernard christophe nicolas laurent frederic olivier sebastien julien guillaume antoine mathieu maxime lucas hugo theo
louise camille manon chloe lea ines jade nathalie isabelle sylvie catherine francoise monique veronique sandrine celine
aurelie emilie elodie claire sophie hans klaus jurgen wolfgang stefan andreas markus sabine petra monika carlos miguel
antonio francisco manuel pedro pablo diego javier alejandro fernando carmen lucia marta elena giuseppe giovanni marco
luca matteo alessandro francesca giulia chiara mohamed ahmed fatima omar yusuf ivan dmitri sergei natasha olga tatiana
wei ming yuki kenji sakura raj priya anil sunil
`)
}

func qualities() []string {
	return strings.Fields(`
red blue green black white pink purple golden silver dark bright big little small great super mega ultra happy sad crazy
mad wild free lucky sweet sexy hot cold cool fast quick slow strong iron steel rock fire ice snow sun moon star sky water
sea sand wood stone thunder storm night day dream love magic holy evil angel devil dead living flying dancing running
jumping sleeping secret silent royal old new young best bad good true real first last one two three seven my your the
mister miss lady lord doctor captain king queen baby street cyber net web game hard soft
`)
}

func things() []string {
	return strings.Fields(`
dog cat horse bird fish bear wolf tiger lion dragon monkey eagle hawk fox snake shark bull cow pig duck rabbit mouse rat
frog spider butterfly bee boy girl man woman baby king queen prince princess lord lady angel devil demon god ghost witch
wizard knight ninja pirate warrior hunter killer master player rider driver runner dancer singer lover friend heart soul
mind eye hand star moon sun sky rain snow storm fire water ice stone rock wood tree flower rose leaf apple cherry berry
candy sugar honey cake cookie pie bread meat beer wine coffee tea house home door window table car truck bike train
plane ship boat rocket ball game music song guitar drum book phone computer box ring gold silver diamond money cash
power force light shadow night day dream hope love life death time world land city street road river lake ocean island
mountain forest garden
`)
}
